import type { Entry, FrameOf, Physical } from "./table-port";

/**
 * Why a walk failed: `unreadable` = the table lies where there is no memory (counts as not present);
 * `protection-key` = PKRU refused what the rights allowed.
 */
export type FaultReason =
  | "not-present"
  | "unreadable"
  | "reserved"
  | "permission"
  | "protection-key";

/** Address of an entry that is a register (PAE PDPTE), not memory. */
export const IN_REGISTER = -1;

/**
 * Outcome of a walk and the path it took. Made to be reused: a walk overwrites all of it, and keeps
 * no reference to it.
 */
export class WalkResult<A extends Physical> {
  kind: "translation" | "fault" = "fault";
  /** Level of the last entry read: the leaf's, or the one that faulted. 1 without paging. */
  level = 0;
  /** Level of the first entry read; 0 without paging. Path methods below are good for `level`…`top`. */
  top = 0;
  /** Frame of the 4 KiB page accessed, also inside a large page. Translations only. */
  frame = 0 as FrameOf<A>;
  /**
   * ACC rights of all levels; write is withheld while the leaf is not dirty and this is no write.
   * After a fault: of all levels, and none when the walk ended before the leaf.
   */
  access = 0;
  /** G of the leaf, with CR4.PGE. */
  global = false;
  /** The leaf's D bit as the walk left it; true without paging. */
  dirty = false;
  pkey = 0;
  /** Page-fault error code. Faults only. */
  error = 0;
  reason: FaultReason | undefined = undefined;

  /** The address walked, as one value and as two halves of it: splitting a bigint by shifts costs ten times more. */
  private readonly whole = new BigUint64Array(1);
  private readonly halves = new Uint32Array(this.whole.buffer);
  /** The walker's own working pairs. */
  readonly scratch: Entry = { lo: 0, hi: 0 };
  readonly desired: Entry = { lo: 0, hi: 0 };
  /** By level: the entry as read, then as the A/D updates left it. */
  private readonly entries = new Uint32Array(12);
  private readonly addresses = new Float64Array(6);
  private readonly rights = new Uint8Array(6);

  /** Called by the walker at its start. */
  begin(va: bigint): void {
    this.whole[0] = va;
    this.reason = undefined;
    this.error = 0;
  }
  /** The same for an address that is a number, below 2^53. */
  beginAt(address: number): void {
    this.halves[0] = address;
    this.halves[1] = address / 0x100000000;
    this.reason = undefined;
    this.error = 0;
  }
  get vaLo(): number {
    return this.halves[0] ?? 0;
  }
  get vaHi(): number {
    return this.halves[1] ?? 0;
  }
  /** Called by the walker as it reads the entry of a level. */
  record(level: number, at: number, lo: number, hi: number, inherited: number): void {
    this.level = level;
    this.addresses[level] = at;
    this.rights[level] = inherited;
    this.setEntry(level, lo, hi);
  }
  setEntry(level: number, lo: number, hi: number): void {
    this.entries[2 * level] = lo;
    this.entries[2 * level + 1] = hi;
  }

  /** Physical address of the entry used at this level, or `IN_REGISTER`. */
  entryAt(level: number): A {
    return (this.addresses[level] ?? 0) as A;
  }
  /** Frame of the table used at this level (KVM's table_gfn). */
  tableFrame(level: number): FrameOf<A> {
    return Math.floor((this.addresses[level] ?? 0) / 4096) as FrameOf<A>;
  }
  entryLo(level: number): number {
    return this.entries[2 * level] ?? 0;
  }
  entryHi(level: number): number {
    return this.entries[2 * level + 1] ?? 0;
  }
  /** The whole entry, for text borders. */
  entry(level: number): bigint {
    return (BigInt(this.entryHi(level)) << 32n) | BigInt(this.entryLo(level));
  }
  /** ACC rights of the entries above this level: what a shadow of this level's table inherits (pt_access). */
  inheritedAccess(level: number): number {
    return this.rights[level] ?? 0;
  }
}
