import { ACC, type Gfn, gfn, pagesPerLevel } from "../../../x86";
import type { MemorySlot } from "../../memslots";
import { tdpSplitHugePages } from "../../tdp/split";
import { getShadowPage } from "../get-page";
import { linkShadowPage } from "../parents";
import { pteListCount, pteListEntries } from "../pte-list";
import { rmapAdd, rmapHead } from "../rmap";
import { childRole } from "../role";
import { ENTRIES } from "../shadow-page";
import { isLeaf, LARGE, PFN_HI, pfnHi, pfnLo, type Sptep, sptePfn, spteValue } from "../spte";
import { isPresentAt, setSpte } from "../spte-write";
import { MIN_FREE_PAGES, type MmuState } from "../state";
import { needsTopUp, topUpSplitCache, useDescriptors } from "./split-cache";

/** What came of one attempt, as kvm_mmu_split_huge_page prints it: 0 or a negative errno. */
const SPLIT = { done: 0, again: -11, noSpace: -28 } as const;
type SplitErrno = (typeof SPLIT)[keyof typeof SPLIT];

/**
 * Splits every huge leaf that maps frames from `start` up to `end`, down to 4K: first 1G to 2M, then
 * those (kvm_mmu_try_split_huge_pages). Translations stay as they are, so nothing is flushed but where
 * a part of the page was left out. A leaf for which there is no room stays huge.
 */
export function splitHugePages(
  state: MmuState,
  slot: MemorySlot,
  start: Gfn = slot.baseGfn,
  end: Gfn = gfn(slot.baseGfn + slot.npages),
): void {
  if (state.tdpMmu) tdpSplitHugePages(state, slot, start, end, 1);
  for (let level = 3; level > 1; level--) {
    const span = pagesPerLevel(level);
    for (let frame: number = start; frame < end; frame += span - (frame % span))
      splitChain(state, slot, gfn(frame), level);
  }
}

/** Every huge leaf of one frame. After each step the chain is begun anew: the lock may have been dropped. */
function splitChain(state: MmuState, slot: MemorySlot, frame: Gfn, level: number): void {
  for (;;) {
    const sptep = pteListEntries(rmapHead(slot, frame, level)).find(
      (entry) => !state.pageOf(entry).invalid,
    );
    if (sptep === undefined) return;
    if (trySplit(state, slot, sptep) === SPLIT.noSpace) return;
  }
}

function trySplit(state: MmuState, slot: MemorySlot, sptep: Sptep): SplitErrno {
  const page = state.pageOf(sptep);
  const frame = page.gfnAt(sptep - page.base);
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  const errno = attempt(state, slot, sptep, frame);
  if (state.trace.wants("kvm_mmu_split_huge_page"))
    state.trace.emit("kvm_mmu_split_huge_page", {
      gfn: frame,
      spte: spteValue(lo, hi),
      level: page.level,
      errno,
    });
  return errno;
}

function attempt(state: MmuState, slot: MemorySlot, sptep: Sptep, frame: Gfn): SplitErrno {
  if (state.maxPages - state.usedPages <= MIN_FREE_PAGES) return SPLIT.noSpace;
  if (needsTopUp(state.splitCache)) {
    // Allocations are made without mmu_lock: whatever was looked up is stale then.
    const full = topUpSplitCache(state.splitCache, () => state.tryAllocateFrame());
    return full ? SPLIT.again : SPLIT.noSpace;
  }
  splitLeaf(state, slot, sptep, frame);
  return SPLIT.done;
}

/** Puts a direct page of 512 smaller leaves in the place of one huge leaf. */
function splitLeaf(state: MmuState, slot: MemorySlot, sptep: Sptep, frame: Gfn): void {
  const parent = state.pageOf(sptep);
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  const access = parent.accessAt(sptep - parent.base);
  const role = childRole(parent.role, true, access, sptep - parent.base);
  const child = getShadowPage(state, undefined, frame, role, state.splitCache);
  const span = pagesPerLevel(child.level);
  const first = sptePfn(lo, hi);
  const small = child.level === 1;
  // A leaf at 4K has no PS bit; its PAT bit, in the same place, is not used.
  let keptLo = lo & 0xfff & (small ? ~LARGE : ~0);
  let keptHi = hi & ~PFN_HI;
  if (small && access & ACC.exec) {
    // Huge leaves may have had to go without.
    keptLo |= state.format.exec;
    keptHi &= ~state.format.nx;
  }
  let flush = false;
  for (let i = 0; i < ENTRIES; i++) {
    const entry = child.base + i;
    if (isPresentAt(state, entry)) {
      // Left from another leaf of the same frame and access. A table below may lack entries.
      if (!isLeaf(state.words[2 * entry]!, child.level)) flush = true;
      continue;
    }
    const pfn = first + i * span;
    setSpte(state, entry, keptLo | pfnLo(pfn), keptHi | pfnHi(pfn));
    const mapped = child.gfnAt(i);
    useDescriptors(state.splitCache, pteListCount(rmapHead(slot, mapped, child.level)));
    rmapAdd(state, slot, entry, mapped, access);
  }
  linkShadowPage(state, sptep, child, flush);
}
