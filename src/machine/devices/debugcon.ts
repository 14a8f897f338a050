import type { PortDevice } from "./device";

/** Bochs' debug console: a byte written to 0xe9 is a character, reading gives 0xe9 ("I am here"). */
export class Debugcon implements PortDevice {
  readonly name = "debugcon";
  readonly ports = [[0xe9, 0xe9]] as const;
  readonly widest = 1;

  constructor(private readonly output: (byte: number) => void) {}

  read(): number {
    return 0xe9;
  }
  write(_port: number, _size: number, value: number): void {
    this.output(value);
  }
  save(): unknown {
    return undefined;
  }
  restore(): void {}
}
