import type { PortDevice } from "./device";

/** The VGA CRT controller as a latch: text-mode kernels keep the cursor in registers 0x0e and 0x0f. */
export class VgaText implements PortDevice {
  readonly name = "vga-text";
  readonly ports = [[0x3d4, 0x3d5]] as const;
  readonly widest = 1;
  private index = 0;
  private registers: number[] = new Array(256).fill(0);

  read(port: number): number {
    return port === 0x3d4 ? this.index : (this.registers[this.index] ?? 0);
  }
  write(port: number, _size: number, value: number): void {
    if (port === 0x3d4) this.index = value;
    else this.registers[this.index] = value;
  }
  save(): unknown {
    return { index: this.index, registers: [...this.registers] };
  }
  restore(saved: unknown): void {
    const { index, registers } = saved as { index: number; registers: number[] };
    this.index = index;
    this.registers = [...registers];
  }
}
