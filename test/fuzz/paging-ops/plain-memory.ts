/** A range of guest physical memory over pages of the backing store. */
export interface PlainSlot {
  readonly id: number;
  readonly base: number;
  readonly pages: number;
  /** First page of the backing store. */
  readonly backing: number;
  readonly flags: number;
}

/** What a word held before it was changed, and when that was. */
export interface OldValue {
  readonly value: bigint;
  readonly until: number;
}

const NEVER: readonly OldValue[] = [];
const READ_ONLY = 2;

/**
 * Guest physical memory of the oracle: slots over one flat store. Each store moves time on; what words
 * held before is kept, as a TLB may still know it.
 */
export class PlainMemory {
  /** Counts changes of memory and flushes: later is greater. */
  now = 1;
  readonly bytes: Uint8Array;
  private list: readonly PlainSlot[] = [];
  private readonly view: DataView;
  /** Old values by offset in the store, the latest last. */
  private readonly history = new Map<number, OldValue[]>();

  /** `pdptesInMemory`: PAE paging reads its PDPTEs like other entries, as under NPT. */
  constructor(
    pages: number,
    private readonly pdptesInMemory: boolean,
  ) {
    this.bytes = new Uint8Array(pages * 4096);
    this.view = new DataView(this.bytes.buffer);
  }

  get slots(): readonly PlainSlot[] {
    return this.list;
  }
  slotById(id: number): PlainSlot | undefined {
    return this.list.find((slot) => slot.id === id);
  }
  setSlots(slots: readonly PlainSlot[]): void {
    this.list = slots;
    this.now++;
  }

  slotAt(gpa: number): PlainSlot | undefined {
    const frame = Math.floor(gpa / 4096);
    return this.list.find((slot) => frame >= slot.base && frame < slot.base + slot.pages);
  }
  isWritable(gpa: number): boolean {
    const slot = this.slotAt(gpa);
    return slot !== undefined && (slot.flags & READ_ONLY) === 0;
  }
  /** Offset in the store; -1 where no slot is. */
  offsetOf(gpa: number): number {
    const slot = this.slotAt(gpa);
    return slot ? slot.backing * 4096 + (gpa - slot.base * 4096) : -1;
  }

  /** `size` bytes inside an aligned word of 8; undefined where there is no memory. */
  read(gpa: number, size: number): bigint | undefined {
    const offset = this.offsetOf(gpa);
    return offset < 0 ? undefined : this.at(offset, size);
  }
  private at(offset: number, size: number): bigint {
    if (size === 8) return this.view.getBigUint64(offset, true);
    if (size === 4) return BigInt(this.view.getUint32(offset, true));
    return BigInt(size === 2 ? this.view.getUint16(offset, true) : this.view.getUint8(offset));
  }

  /** A store that a processor may not have noticed: the old values stay known. */
  write(gpa: number, size: number, value: bigint): void {
    const offset = this.offsetOf(gpa);
    if (offset < 0) throw new Error(`no memory at gpa 0x${gpa.toString(16)}`);
    for (const width of [4, 8])
      for (let at = offset - (offset % width); at < offset + size; at += width)
        this.remember(at, width);
    this.put(offset, size, value);
    this.now++;
  }
  private remember(offset: number, width: number): void {
    const key = 2 * offset + (width === 8 ? 1 : 0);
    const list = this.history.get(key) ?? [];
    this.history.set(key, list);
    list.push({ value: this.at(offset, width), until: this.now });
  }

  /**
   * Sets bits that the processor itself sets in an entry: nothing to remember, unless the same word is read
   * as a PDPTE in memory, where these bits are reserved.
   */
  mark(gpa: number, size: 4 | 8, bits: bigint): void {
    const offset = this.offsetOf(gpa);
    const word = offset - (offset % 8);
    this.markWord(word, BigInt.asUintN(8 * size, bits) << BigInt(8 * (offset - word)));
  }

  /** The same for a word of 8 at an offset in the store. */
  markWord(offset: number, bits: bigint): void {
    const before = this.at(offset, 8);
    if ((before | bits) === before) return;
    if (this.pdptesInMemory) {
      this.remember(offset, 8);
      this.now++;
    }
    this.put(offset, 8, before | bits);
  }

  private put(offset: number, size: number, value: bigint): void {
    if (size === 8) this.view.setBigUint64(offset, value, true);
    else if (size === 4) this.view.setUint32(offset, Number(value & 0xffffffffn), true);
    else if (size === 2) this.view.setUint16(offset, Number(value & 0xffffn), true);
    else this.view.setUint8(offset, Number(value & 0xffn));
  }

  /** Values an entry held until after `time`, oldest first. */
  heldSince(gpa: number, size: 4 | 8, time: number): readonly OldValue[] {
    const offset = this.offsetOf(gpa);
    const list = this.history.get(2 * offset + (size === 8 ? 1 : 0));
    if (!list || list[list.length - 1]!.until <= time) return NEVER;
    return list.filter(({ until }) => until > time);
  }
}
