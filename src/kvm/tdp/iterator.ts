import { type Gfn, gfn, pagesPerLevel, pfn } from "../../x86";
import { ENTRIES, type ShadowPage } from "../mmu/shadow-page";
import { type Sptep, sptePfn } from "../mmu/spte";
import type { MmuState } from "../mmu/state";

/**
 * Goes through the entries of a tree in pre-order, those of `minLevel` and above, from the one that
 * covers `start` (tdp_iter). `lo` and `hi` are the entry as it was read; before a pointer is followed it
 * is read again. Only for a walk inside a lockless section: see `visitRange`.
 */
export class TdpIterator {
  /** First gfn the entry covers. */
  gfn!: Gfn;
  level!: number;
  sptep!: Sptep;
  lo = 0;
  hi = 0;
  /** False once the tree is done. */
  valid = true;
  /** Pages on the way down, by level. */
  private readonly path: ShadowPage[] = [];
  /** Where to go on: moves with every step to the side. */
  private next: Gfn;
  /** `next` at the last restart: to stop again before it has moved would get nowhere. */
  private restartedAt!: Gfn;

  constructor(
    private readonly state: MmuState,
    readonly root: ShadowPage,
    private readonly minLevel: number,
    start: Gfn,
  ) {
    this.next = start;
    this.restart();
  }

  /** The page the entry is in. */
  get page(): ShadowPage {
    return this.path[this.level]!;
  }
  get present(): boolean {
    return this.state.format.isPresent(this.lo, this.hi);
  }
  /** Points at a page. */
  get table(): boolean {
    return this.state.format.isTable(this.lo, this.hi, this.level);
  }
  get leaf(): boolean {
    return this.present && !this.table;
  }
  get progressed(): boolean {
    return this.next !== this.restartedAt;
  }

  advance(): void {
    if (this.stepDown()) return;
    while (!this.stepSide()) {
      if (this.level === this.root.level) {
        this.valid = false;
        return;
      }
      this.level++;
      this.moveTo(this.gfn);
    }
  }

  /** Begins at the root again, on the way to where it was: others may have changed the tree. */
  restart(): void {
    this.restartedAt = this.next;
    this.level = this.root.level;
    this.path[this.level] = this.root;
    this.moveTo(this.next);
  }

  reread(): void {
    const { words } = this.state;
    this.lo = words[2 * this.sptep]!;
    this.hi = words[2 * this.sptep + 1]!;
  }

  /** The entry of the present page that covers `frame`. */
  private moveTo(frame: Gfn): void {
    const span = pagesPerLevel(this.level);
    this.gfn = gfn(frame - (frame % span));
    this.sptep = this.page.base + (Math.floor(frame / span) % ENTRIES);
    this.reread();
  }

  private stepDown(): boolean {
    if (this.level === this.minLevel) return false;
    this.reread();
    if (!this.table) return false;
    const child = this.state.pageInFrame(pfn(sptePfn(this.lo, this.hi)));
    if (!child) throw new Error("a TDP spte points at no page");
    this.level--;
    this.path[this.level] = child;
    this.moveTo(this.next);
    return true;
  }

  private stepSide(): boolean {
    if (this.sptep - this.page.base === ENTRIES - 1) return false;
    this.gfn = gfn(this.gfn + pagesPerLevel(this.level));
    this.next = this.gfn;
    this.sptep++;
    this.reread();
    return true;
  }
}
