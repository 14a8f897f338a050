import type { PortDevice } from "./device";

const KEY = {
  signature: 0x00,
  id: 0x01,
  ramBytes: 0x03,
  cpus: 0x05,
  maxCpus: 0x0f,
  directory: 0x19,
};

/** `value` in `bytes` bytes, little-endian. */
function littleEndian(value: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}

/**
 * QEMU's firmware configuration device, by its two ports (QEMU docs/specs/fw_cfg.rst): a 16-bit key
 * to 0x510, then the item byte by byte from 0x511. Unknown keys and reads past the end give 0.
 */
export class FwCfg implements PortDevice {
  readonly name = "fw_cfg";
  readonly ports = [[0x510, 0x511]] as const;
  readonly widest = 2;
  private readonly items: ReadonlyMap<number, Uint8Array>;
  private key = 0;
  private offset = 0;

  constructor(ramBytes: number, cpus: number) {
    this.items = new Map([
      [KEY.signature, Uint8Array.from("QEMU", (c) => c.charCodeAt(0))],
      [KEY.id, littleEndian(1, 4)],
      [KEY.ramBytes, littleEndian(ramBytes, 8)],
      [KEY.cpus, littleEndian(cpus, 2)],
      [KEY.maxCpus, littleEndian(cpus, 2)],
      [KEY.directory, littleEndian(0, 4)],
    ]);
  }

  read(port: number, size: number): number {
    if (port === 0x510) return this.key;
    const low = this.nextByte();
    return size === 1 ? low : low | (this.nextByte() << 8);
  }

  write(port: number, size: number, value: number): void {
    if (port !== 0x510 || size !== 2) return;
    this.key = value;
    this.offset = 0;
  }

  private nextByte(): number {
    return this.items.get(this.key)?.[this.offset++] ?? 0;
  }

  save(): unknown {
    return [this.key, this.offset];
  }
  restore(saved: unknown): void {
    [this.key, this.offset] = saved as [number, number];
  }
}
