import { type Gfn, gfn } from "../../x86";
import type { MemorySlot } from "../memslots";

/** pfn of a gfn that no slot covers. */
export const NOSLOT_PFN = -1;

/** `kvm_page_fault`: one fault on its way through the MMU. A vCPU reuses one object. */
export class Fault {
  /** Being handled now: other actors may run in between. */
  active = false;
  /** Faulting address: a gva, or a gpa in a direct MMU. */
  address = 0n;
  /** Error code of the hardware. */
  code = 0;
  gfn: Gfn = gfn(0);
  slot: MemorySlot | undefined;
  /** Host frame of `gfn`, rounded down once the goal level is known; `NOSLOT_PFN` for mmio. */
  pfn = NOSLOT_PFN;
  /** The host page may be written. */
  mapWritable = false;
  /** `notifier.seq` before the host page was looked up. */
  seq = 0;
  /** No larger mapping than this: the guest's own page size. */
  maxLevel = 1;
  /** Level the leaf will have. */
  goalLevel = 1;

  /** Level the leaf would have but for `hugePageDisallowed`. */
  reqLevel = 1;
  /** A fetch, which no huge leaf may serve: see `nx-huge-pages.ts`. */
  hugePageDisallowed = false;

  /** The write goes to a table of its own walk: it would be shadowed again at once. */
  toOwnTable = false;

  begin(address: bigint, code: number): void {
    this.active = true;
    this.address = address;
    this.code = code;
    this.slot = undefined;
    this.toOwnTable = false;
    this.pfn = NOSLOT_PFN;
    this.mapWritable = false;
    this.maxLevel = 1;
    this.goalLevel = 1;
    this.reqLevel = 1;
    this.hugePageDisallowed = false;
  }

  get present(): boolean {
    return (this.code & 1) !== 0;
  }
  get write(): boolean {
    return (this.code & 2) !== 0;
  }
  get user(): boolean {
    return (this.code & 4) !== 0;
  }
  get fetch(): boolean {
    return (this.code & 0x10) !== 0;
  }
  get reserved(): boolean {
    return (this.code & 8) !== 0;
  }
}
