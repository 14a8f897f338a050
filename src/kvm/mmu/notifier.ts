import type { HvaRange, MmuNotifier } from "../../host";
import { type Gfn, gfn, type Hva, hva, PAGE_SIZE, type Pfn, pagesPerLevel } from "../../x86";
import { LEAF_LEVELS, type MemorySlot } from "../memslots";
import { tdpAge, tdpTestAge } from "../tdp/age";
import { tdpUnmapRange } from "../tdp/zap";
import { reachPoint } from "./announce";
import { changePte } from "./change-pte";
import { pteListEntries } from "./pte-list";
import { dropSpte, zapRmap } from "./rmap";
import type { Sptep } from "./spte";
import { ageSpte, isYoungAt } from "./spte-write";
import type { MmuState } from "./state";

/** A run of frames of one slot behind a range of host addresses. */
interface Overlap {
  readonly slot: MemorySlot;
  readonly first: Gfn;
  readonly end: Gfn;
}

/**
 * What the VM does when the host changes the mappings behind its memory (mmu.rst, "Host updates";
 * mmu_notifier_ops): drops the sptes that hold the old frames, and keeps new ones from being made
 * until the host is done.
 */
export class VmNotifier implements MmuNotifier {
  /** Only in the eras whose hosts tell of it. */
  readonly changePte: MmuNotifier["changePte"];

  constructor(
    private readonly state: MmuState,
    private readonly onRelease: () => void,
  ) {
    if (state.profile.changePte)
      this.changePte = (address, frame, writable) => this.replaced(address, frame, writable);
  }

  invalidateStart(range: HvaRange): void {
    const { state } = this;
    this.announce("kvm_unmap_hva_range", range);
    const overlaps = this.overlaps(range);
    if (overlaps.length > 0) {
      const { notifier } = state;
      const first = Math.min(...overlaps.map((o) => o.first));
      const end = Math.max(...overlaps.map((o) => o.end));
      const fresh = notifier.inProgress === 0;
      notifier.rangeStart = fresh ? first : Math.min(notifier.rangeStart, first);
      notifier.rangeEnd = fresh ? end : Math.max(notifier.rangeEnd, end);
      notifier.inProgress++;
      if (unmap(state, overlaps)) state.flushRemoteTlbs("mmu notifier");
    }
    reachPoint(state, "N1");
  }

  invalidateEnd(range: HvaRange): void {
    const { state } = this;
    reachPoint(state, "N2");
    if (this.overlaps(range).length === 0) return;
    state.notifier.seq++;
    state.notifier.inProgress--;
  }

  clearFlushYoung(range: HvaRange): boolean {
    return this.clearYoung(range);
  }
  clearYoung(range: HvaRange): boolean {
    const { state } = this;
    const agesByDropping = state.format.accessed === 0;
    const young = this.anyYoung("kvm_age_hva", range, (sptep) => {
      if (!agesByDropping) return ageSpte(state, sptep);
      dropSpte(state, sptep, "age");
      return true;
    });
    if (young && agesByDropping) state.flushRemoteTlbs("aged without A bits");
    return this.anyTree(range, tdpAge) || young;
  }
  testYoung(range: HvaRange): boolean {
    const { state } = this;
    // Without A bits nobody can tell without dropping the entries.
    const ask = (sptep: Sptep): boolean => state.format.accessed !== 0 && isYoungAt(state, sptep);
    return this.anyYoung("kvm_test_age_hva", range, ask) || this.anyTree(range, tdpTestAge);
  }

  /** Asks about every leaf behind the range. Modern kernels trace the range, older ones each page. */
  private anyYoung(name: string, range: HvaRange, ask: (sptep: Sptep) => boolean): boolean {
    const overlaps = this.overlaps(range);
    if (this.state.profile.era !== "modern")
      return overlaps.flatMap(pages).filter((page) => this.isPageYoung(page, ask)).length > 0;
    this.announce(name, range);
    return overlaps.flatMap(leavesOf).filter(ask).length > 0;
  }

  private isPageYoung(page: Overlap, ask: (sptep: Sptep) => boolean): boolean {
    const referenced = leavesOf(page).filter(ask).length > 0;
    const { trace } = this.state;
    const { slot, first } = page;
    if (trace.wants("kvm_age_page"))
      trace.emit("kvm_age_page", { hva: slot.hvaOf(first), gfn: first, referenced });
    return referenced;
  }

  release(): void {
    this.onRelease();
  }

  private replaced(address: Hva, frame: Pfn, writable: boolean): void {
    const { state } = this;
    const range = { start: address, end: hva(address + PAGE_SIZE) };
    state.trace.emit("kvm_set_spte_hva", { hva: address });
    // Who looked the page up before this must look again.
    state.notifier.seq++;
    let flush = false;
    for (const { slot, first } of this.overlaps(range))
      if (changePte(state, slot, first, frame, writable)) flush = true;
    if (flush) state.flushRemoteTlbs("mmu notifier");
  }

  /** Asks the trees of the TDP MMU about every frame behind the range. */
  private anyTree(range: HvaRange, ask: typeof tdpAge): boolean {
    const { state } = this;
    if (!state.tdpMmu) return false;
    const answers = this.overlaps(range).map((o) => ask(state, o.slot, o.first, o.end));
    return answers.includes(true);
  }

  private overlaps(range: HvaRange): Overlap[] {
    return this.state.slotSets.flatMap((set) =>
      set.slots.flatMap((slot) => {
        const start = Math.max(range.start, slot.userspaceAddr);
        const end = Math.min(range.end, slot.userspaceAddr + slot.npages * PAGE_SIZE);
        if (start >= end) return [];
        const frameAt = (address: number): Gfn =>
          gfn(slot.baseGfn + Math.ceil((address - slot.userspaceAddr) / PAGE_SIZE));
        return [{ slot, first: frameAt(start), end: frameAt(end) }];
      }),
    );
  }

  private announce(name: string, range: HvaRange): void {
    if (this.state.trace.wants(name))
      this.state.trace.emit(name, { start: range.start, end: range.end });
  }
}

/** The run, cut into single frames. */
const pages = ({ slot, first, end }: Overlap): Overlap[] =>
  Array.from({ length: end - first }, (_, i) => ({
    slot,
    first: gfn(first + i),
    end: gfn(first + i + 1),
  }));

/** Leaves of every size that map a frame of the run. */
const leavesOf = ({ slot, first, end }: Overlap): Sptep[] =>
  LEAF_LEVELS.flatMap((level) =>
    slot.arch.rmap[level - 1]!.slice(
      slot.indexOf(first, level),
      slot.indexOf(gfn(end - 1), level) + 1,
    ).flatMap((head) => [...pteListEntries(head)]),
  );

/** Drops every leaf of the frames, at every level. True when TLBs must be flushed. */
function unmap(state: MmuState, overlaps: readonly Overlap[]): boolean {
  let flush = false;
  for (const { slot, first, end } of overlaps) {
    for (const level of LEAF_LEVELS) {
      const span = pagesPerLevel(level);
      for (let frame: number = first; frame < end; frame += span - (frame % span))
        if (zapRmap(state, slot, gfn(frame), level, "notifier")) flush = true;
    }
    if (state.tdpMmu && tdpUnmapRange(state, slot, first, end, "notifier")) flush = true;
  }
  return flush;
}
