import { type Entry, type Gfn, type Gpa, gfn, gpaOf } from "../../../x86";
import type { MemorySlot } from "../../memslots";
import { gpteAddress, gpteBytes } from "../guest-entry";
import { slotOf } from "../rmap";
import { ROLE } from "../role";
import type { ShadowPage } from "../shadow-page";
import { isLeaf, isMmio, isPresent, type Sptep, sptePfn, spteValue } from "../spte";
import type { MmuState } from "../state";

/** One entry of a shadow page as the checks see it; a checker moves one object over all entries. */
export class EntryView {
  page!: ShadowPage;
  index = 0;
  lo = 0;
  hi = 0;
  private gpteRead = false;
  private gptePresent = false;
  private readonly entry: Entry = { lo: 0, hi: 0 };

  constructor(readonly state: MmuState) {}

  moveTo(page: ShadowPage, index: number): void {
    this.page = page;
    this.index = index;
    const word = 2 * (page.base + index);
    this.lo = this.state.words[word]!;
    this.hi = this.state.words[word + 1]!;
    this.gpteRead = false;
  }

  get sptep(): Sptep {
    return this.page.base + this.index;
  }
  get present(): boolean {
    return isPresent(this.lo);
  }
  get mmio(): boolean {
    return isMmio(this.lo, this.hi);
  }
  get leaf(): boolean {
    return this.present && isLeaf(this.lo, this.page.level);
  }
  get pfn(): number {
    return sptePfn(this.lo, this.hi);
  }
  /** gfn the leaf maps. */
  get gfn(): Gfn {
    return this.page.gfnAt(this.index);
  }
  get slot(): MemorySlot | undefined {
    return slotOf(this.state, this.page, this.gfn);
  }
  /** The page a present non-leaf points at. */
  get child(): ShadowPage | undefined {
    return this.state.pageInFrame(this.pfn as never);
  }
  /** The page's translations must agree with its gptes: it is valid, current, indirect and in sync. */
  get synced(): boolean {
    const { page, state } = this;
    return page.hasGptes && !page.unsync && !state.isObsolete(page);
  }

  /** Address of the guest entry behind this one: for upper levels too, where one spte is one 8-byte gpte. */
  get gpteAt(): Gpa {
    return this.page.level === 1
      ? gpteAddress(this.page, this.index)
      : gpaOf(this.page.gfn, this.index * 8);
  }
  /** The guest entry, if its table has 8-byte entries and is resident. Read once. */
  get gpte(): Entry | undefined {
    if (!this.gpteRead) {
      const known = (this.page.role & ROLE.has4ByteGpte) === 0 || this.page.level === 1;
      this.gptePresent =
        known && this.state.guest.peekEntry(this.gpteAt, gpteBytes(this.page), this.entry);
      this.gpteRead = true;
    }
    return this.gptePresent ? this.entry : undefined;
  }

  /** `entry 5 of sp 3 (gfn 0x4): 0x100009e67` */
  toString(): string {
    const { page } = this;
    return `entry ${this.index} of sp ${page.serial} (gfn 0x${page.gfn.toString(16)}, level ${page.level}), 0x${spteValue(this.lo, this.hi).toString(16)}`;
  }
}

/** gfn an 8-byte guest entry points at or maps. */
export const frameOf = (entry: Entry): Gfn =>
  gfn((entry.hi & 0xfffff) * 0x100000 + (entry.lo >>> 12));
