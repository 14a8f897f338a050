/** What a device promises to the machine: its state is plain data that can be taken and put back. */
export interface Device {
  /** Key of the device in saved states; unique in the machine. */
  readonly name: string;
  save(): unknown;
  restore(saved: unknown): void;
}

/** A device in the port space. Values are unsigned, `size` is 1, 2 or 4 and never above `widest`. */
export interface PortDevice extends Device {
  /** Inclusive ranges of ports. */
  readonly ports: readonly (readonly [first: number, last: number])[];
  /** Wider accesses arrive as successive ones at the following ports, as on the ISA bus. */
  readonly widest: 1 | 2 | 4;
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

/** A device in guest physical memory. `offset` is from `first`; `size` is 1, 2 or 4. */
export interface MmioDevice extends Device {
  /** First guest physical address. */
  readonly first: number;
  readonly bytes: number;
  readMmio(offset: number, size: number): number;
  writeMmio(offset: number, size: number, value: number): void;
}

/** All ones in `size` bytes: what an access that nobody answers reads. */
export const openBus = (size: number): number => (size === 4 ? 0xffffffff : 2 ** (8 * size) - 1);
