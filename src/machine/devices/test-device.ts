import type { MmioDevice, PortDevice } from "./device";

const LATCH = 0xe0;
const DROP_PAGE = 0xe4;
const LINES = 0x2000;
const LINE_COUNT = 24;
const MMIO_BYTES = 0x10000;

/** What the kvm-unit-tests device may do to the rest of the machine. */
export interface TestDeviceHooks {
  /** The host drops and maps anew the page behind this guest physical address. */
  dropPage(gpa: number): void;
  /** Level of a global system interrupt. */
  setLine(gsi: number, level: boolean): void;
}

/**
 * QEMU's `pc-testdev`: a 32-bit latch at 0xe0, a host event by a write to 0xe4, interrupt lines at
 * 0x2000 + gsi, and 64 KiB of MMIO at 0xff000000 that read back what was written.
 */
export class TestDevice implements PortDevice, MmioDevice {
  readonly name = "test-device";
  readonly ports = [
    [LATCH, DROP_PAGE + 3],
    [LINES, LINES + LINE_COUNT - 1],
  ] as const;
  readonly widest = 4;
  readonly first = 0xff000000;
  readonly bytes = MMIO_BYTES;
  private latch = 0;
  private memory = new Uint8Array(MMIO_BYTES);

  constructor(private readonly hooks: TestDeviceHooks) {}

  read(port: number, size: number): number {
    if (port >= DROP_PAGE) return 0;
    return Math.floor(this.latch / 2 ** (8 * (port - LATCH))) % 2 ** (8 * size);
  }

  write(port: number, size: number, value: number): void {
    if (port >= LINES) this.hooks.setLine(port - LINES, value !== 0);
    else if (port === DROP_PAGE) this.hooks.dropPage(value);
    else if (port < DROP_PAGE) {
      const bytes = new DataView(new ArrayBuffer(8));
      bytes.setUint32(0, this.latch, true);
      for (let i = 0; i < size; i++)
        bytes.setUint8(port - LATCH + i, (value / 2 ** (8 * i)) & 0xff);
      this.latch = bytes.getUint32(0, true);
    }
  }

  readMmio(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.memory[offset + i] ?? 0xff);
    return value;
  }

  writeMmio(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.memory[offset + i] = Math.floor(value / 2 ** (8 * i)) % 256;
  }

  save(): unknown {
    return { latch: this.latch, memory: this.memory.slice() };
  }
  restore(saved: unknown): void {
    const { latch, memory } = saved as { latch: number; memory: Uint8Array };
    this.latch = latch;
    this.memory = memory.slice();
  }
}
