/** Flags of an entry (`kvm_dirty_gfn`): KVM sets `dirty`, userspace that has read it `reset`. */
export const RING_FLAG = { dirty: 1, reset: 2 } as const;

/** Bytes of an entry: flags, slot, offset. */
export const RING_ENTRY_BYTES = 16;
/** KVM_DIRTY_RING_RSVD_ENTRIES: what one exit may enter after the ring counts as full. */
const RESERVED_ENTRIES = 64;
/** Entries that a page-modification log can bring at once. */
const PML_ENTRIES = 512;
export const MAX_RING_ENTRIES = 65536;

/** Entries that are kept free when the vCPU exits as its ring is full. */
export const reservedEntries = (pml: boolean): number => RESERVED_ENTRIES + (pml ? PML_ENTRIES : 0);

/** A dirty frame: `slot` with the address space in bits 31:16, `offset` in pages from the slot's base. */
export interface DirtyGfn {
  readonly slot: number;
  readonly offset: number;
}

/** Plain data of a ring. */
export interface DirtyRingState {
  readonly dirtyIndex: number;
  readonly resetIndex: number;
  readonly fetchIndex: number;
  /** Of entries `resetIndex` up to `dirtyIndex`: flags, slot, offset. */
  readonly entries: Float64Array;
}

/**
 * The dirty ring of one vCPU (api.rst 8.29): frames in the order in which they were written to. KVM
 * enters at `dirtyIndex` and takes back at `resetIndex` what userspace has collected in between. Indices
 * only rise; an entry lies at its index modulo the size.
 */
export class DirtyRing {
  dirtyIndex = 0;
  resetIndex = 0;
  /** Where userspace reads next. */
  private fetchIndex = 0;
  private readonly flags: Uint8Array;
  private readonly slots: Uint32Array;
  private readonly offsets: Float64Array;

  constructor(
    /** Of the vCPU. */
    readonly index: number,
    /** In entries, a power of two. */
    readonly size: number,
    private readonly reserved: number,
  ) {
    this.flags = new Uint8Array(size);
    this.slots = new Uint32Array(size);
    this.offsets = new Float64Array(size);
  }

  get used(): number {
    return this.dirtyIndex - this.resetIndex;
  }
  /** The vCPU must exit to userspace before it enters the guest again. */
  get softFull(): boolean {
    return this.used >= this.size - this.reserved;
  }

  push(slot: number, offset: number): void {
    if (this.used >= this.size) throw new Error(`dirty ring ${this.index} has overflowed`);
    const at = this.dirtyIndex++ % this.size;
    this.slots[at] = slot;
    this.offsets[at] = offset;
    this.flags[at] = RING_FLAG.dirty;
  }

  /** What userspace does with the mapped ring: reads every entry there is, and gives it free to be reset. */
  collect(): DirtyGfn[] {
    const found: DirtyGfn[] = [];
    for (; this.flags[this.fetchIndex % this.size] === RING_FLAG.dirty; this.fetchIndex++) {
      const at = this.fetchIndex % this.size;
      found.push({ slot: this.slots[at]!, offset: this.offsets[at]! });
      this.flags[at] = RING_FLAG.dirty | RING_FLAG.reset;
    }
    return found;
  }

  /** Takes back the oldest entry if userspace has collected it. */
  takeCollected(): DirtyGfn | undefined {
    const at = this.resetIndex % this.size;
    if (!(this.flags[at]! & RING_FLAG.reset)) return undefined;
    this.flags[at] = 0;
    this.resetIndex++;
    return { slot: this.slots[at]!, offset: this.offsets[at]! };
  }

  /** The frame is in the ring, collected or not: it is not protected yet. */
  has(slot: number, offset: number): boolean {
    for (let i = this.resetIndex; i < this.dirtyIndex; i++) {
      const at = i % this.size;
      if (this.slots[at] === slot && this.offsets[at] === offset) return true;
    }
    return false;
  }

  save(): DirtyRingState {
    const entries = new Float64Array(3 * this.used);
    for (let i = 0; i < this.used; i++) {
      const at = (this.resetIndex + i) % this.size;
      entries.set([this.flags[at]!, this.slots[at]!, this.offsets[at]!], 3 * i);
    }
    const { dirtyIndex, resetIndex, fetchIndex } = this;
    return { dirtyIndex, resetIndex, fetchIndex, entries };
  }

  restore(saved: DirtyRingState): void {
    this.dirtyIndex = saved.dirtyIndex;
    this.resetIndex = saved.resetIndex;
    this.fetchIndex = saved.fetchIndex;
    this.flags.fill(0);
    for (let i = 0; i < this.used; i++) {
      const at = (this.resetIndex + i) % this.size;
      [this.flags[at], this.slots[at], this.offsets[at]] = saved.entries.subarray(
        3 * i,
        3 * i + 3,
      ) as unknown as [number, number, number];
    }
  }
}
