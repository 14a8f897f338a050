import type { PortDevice } from "./device";

/** QEMU's isa-debug-exit: a write ends the machine, the process status is `(value << 1) | 1`. */
export class DebugExit implements PortDevice {
  readonly name = "debug-exit";
  readonly ports = [[0xf4, 0xf7]] as const;
  readonly widest = 4;

  constructor(private readonly exit: (value: number) => void) {}

  read(): number {
    return 0;
  }
  write(_port: number, _size: number, value: number): void {
    this.exit(value);
  }
  save(): unknown {
    return undefined;
  }
  restore(): void {}
}
