import { ACC, type Entry, type Gfn, gfn, pagesPerLevel } from "../../../x86";
import type { MemorySlot } from "../../memslots";
import { gpteAddress, gpteBytes } from "../guest-entry";
import type { PteList } from "../pte-list";
import { slotOf } from "../rmap";
import type { ShadowPage } from "../shadow-page";
import { isLeaf, type Sptep, sptePfn, spteValue, WRITABLE } from "../spte";
import type { MmuState } from "../state";

/** Longer lists are looked up in, not gone through. */
const SHORT_LIST = 16;

function countEach(list: readonly Sptep[]): ReadonlyMap<Sptep, number> {
  const counts = new Map<Sptep, number>();
  for (const entry of list) counts.set(entry, (counts.get(entry) ?? 0) + 1);
  return counts;
}

/** One entry of a shadow page as the checks see it; a checker moves one object over all entries. */
export class EntryView {
  page!: ShadowPage;
  index = 0;
  lo = 0;
  hi = 0;
  private gpteRead = false;
  private gptePresent = false;
  private readonly entry: Entry = { lo: 0, hi: 0 };

  /** Entries of long lists and how often each is there: made once for the life of the view. */
  private readonly long = new Map<PteList, ReadonlyMap<Sptep, number>>();

  constructor(readonly state: MmuState) {}

  /** How often a list names this entry. */
  timesIn(list: PteList): number {
    if (typeof list === "number") return list === this.sptep ? 1 : 0;
    if (list.length <= SHORT_LIST) return list.filter((entry) => entry === this.sptep).length;
    let counts = this.long.get(list);
    if (!counts) {
      counts = countEach(list);
      this.long.set(list, counts);
    }
    return counts.get(this.sptep) ?? 0;
  }

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
    return this.state.format.isPresent(this.lo, this.hi);
  }
  get mmio(): boolean {
    return this.state.format.isMmio(this.lo, this.hi);
  }
  get leaf(): boolean {
    return this.present && isLeaf(this.lo, this.page.level);
  }
  get hostWritable(): boolean {
    return this.state.format.isHostWritable(this.lo, this.hi);
  }
  get mmuWritable(): boolean {
    const { format } = this.state;
    return format.marksMmuWritable
      ? format.isMmuWritable(this.lo, this.hi)
      : (this.lo & WRITABLE) !== 0;
  }
  /** `ACC` bits that the hardware grants through this entry. */
  get grants(): number {
    const { format } = this.state;
    return (
      (this.lo & WRITABLE ? ACC.write : 0) |
      (format.isUser(this.lo) ? ACC.user : 0) |
      (format.isExecutable(this.lo, this.hi) ? ACC.exec : 0)
    );
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

  /** The guest entry behind this one, if its table is resident. Read once. */
  get gpte(): Entry | undefined {
    if (!this.gpteRead) {
      const at = gpteAddress(this.page, this.index);
      this.gptePresent = this.state.guest.peekEntry(at, gpteBytes(this.page), this.entry);
      this.gpteRead = true;
    }
    return this.gptePresent ? this.entry : undefined;
  }

  /** gfn of the table or 4K page that the guest entry points at. */
  get gpteFrame(): Gfn {
    const { lo, hi } = this.entry;
    return gfn((hi & 0xfffff) * 0x100000 + (lo >>> 12));
  }
  /**
   * First gfn of what the guest entry maps as a large page through this spte: of a 4M page the half that
   * this one of its two sptes stands for, bits 35:32 taken from bits 16:13 (PSE-36).
   */
  get gpteLargeFrame(): Gfn {
    const { page, entry, index } = this;
    const span = pagesPerLevel(page.level);
    const low = (entry.lo >>> 12) - ((entry.lo >>> 12) % span);
    if (gpteBytes(page) === 8) return gfn((entry.hi & 0xfffff) * 0x100000 + low);
    const base = (entry.lo >>> 22) * 2 * span + ((entry.lo >>> 13) & 0xf) * 0x100000;
    return gfn(base + (index & 1) * span);
  }

  /** `entry 5 of sp 3 (gfn 0x4): 0x100009e67` */
  toString(): string {
    const { page } = this;
    return `entry ${this.index} of sp ${page.serial} (gfn 0x${page.gfn.toString(16)}, level ${page.level}), 0x${spteValue(this.lo, this.hi).toString(16)}`;
  }
}
