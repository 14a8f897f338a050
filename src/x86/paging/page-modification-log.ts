/** Entries of the log: one 4 KiB page of 8-byte addresses (SDM 3C 28.3.6). */
const ENTRIES = 512;

/** Plain data of a log. */
export interface PageModificationLogState {
  readonly index: number;
  readonly entries: Float64Array;
}

/**
 * The page-modification log of one vCPU (SDM 3C 28.3.6): guest-physical addresses of 4 KiB frames
 * whose EPT dirty flag a walk has set, from entry 511 down. `index` is the entry to be used next; -1
 * (0xffff in the VMCS) means full: a walk that would set another dirty flag exits instead.
 */
export class PageModificationLog {
  index = ENTRIES - 1;
  private readonly entries = new Float64Array(ENTRIES);

  get full(): boolean {
    return this.index < 0;
  }

  /** Called by the walk as it sets a dirty flag. */
  log(address: number): void {
    this.entries[this.index--] = address - (address % 4096);
  }

  /** Takes all addresses out, oldest first. */
  drain(take: (address: number) => void): void {
    for (let n = ENTRIES - 1; n > this.index; n--) take(this.entries[n]!);
    this.index = ENTRIES - 1;
  }

  /** The frame at this address is in the log. */
  has(address: number): boolean {
    return this.entries.indexOf(address, this.index + 1) >= 0;
  }

  save(): PageModificationLogState {
    return { index: this.index, entries: this.entries.slice() };
  }
  restore(saved: PageModificationLogState): void {
    this.index = saved.index;
    this.entries.set(saved.entries);
  }
}
