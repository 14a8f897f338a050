import type { Trace } from "../../x86";
import { type MmioDevice, openBus } from "./device";

/** Routes accesses to guest physical addresses without RAM. Holes read all ones and are announced. */
export class MmioBus {
  constructor(
    private readonly devices: () => readonly MmioDevice[],
    private readonly trace: Trace,
  ) {}

  /** True where a device answers, not only where memory is missing. */
  covers(gpa: number): boolean {
    return this.find(gpa) !== undefined;
  }

  read(gpa: number, size: number): bigint {
    if (size === 8) return this.read(gpa, 4) | (this.read(gpa + 4, 4) << 32n);
    const device = this.find(gpa);
    if (device) return BigInt(device.readMmio(gpa - device.first, size));
    this.trace.emit("unassigned_mmio", { direction: "read", gpa, size, value: openBus(size) });
    return BigInt(openBus(size));
  }

  write(gpa: number, size: number, value: bigint): void {
    if (size === 8) {
      this.write(gpa, 4, value & 0xffffffffn);
      this.write(gpa + 4, 4, value >> 32n);
      return;
    }
    const device = this.find(gpa);
    if (device) device.writeMmio(gpa - device.first, size, Number(value));
    else this.trace.emit("unassigned_mmio", { direction: "write", gpa, size, value });
  }

  private find(gpa: number): MmioDevice | undefined {
    return this.devices().find(({ first, bytes }) => gpa >= first && gpa < first + bytes);
  }
}
