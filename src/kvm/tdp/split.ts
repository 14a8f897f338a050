import { ACC, type Gfn, pagesPerLevel } from "../../x86";
import type { MemorySlot } from "../memslots";
import { roleAccess } from "../mmu/role";
import { ENTRIES, type ShadowPage } from "../mmu/shadow-page";
import { LARGE, pfnHi, pfnLo, type Sptep, sptePfn, spteValue } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { PAGES_STAT } from "../mmu/stats";
import { exchange } from "./exchange";
import type { TdpIterator } from "./iterator";
import { linkPage } from "./link";
import { newChild } from "./pages";
import { visitRoots } from "./roots";
import { visitRange } from "./visit";

/** errno values that the event shows. */
const ERRNO = { done: 0, busy: -16, noMemory: -12 } as const;

/**
 * Fills `child` with what the large leaf maps, in smaller pieces, and puts a pointer to it in the leaf's
 * place (tdp_mmu_split_huge_page). No TLB needs a flush: both translate alike. False when the entry is no
 * longer what was read; then the child is still nobody's.
 */
export function splitLeaf(
  state: MmuState,
  sptep: Sptep,
  lo: number,
  hi: number,
  child: ShadowPage,
): boolean {
  const parent = state.pageOf(sptep);
  const first = sptePfn(lo, hi);
  const span = pagesPerLevel(child.level);
  const partLo = smallLo(state, lo, child);
  const partHi = smallHi(state, hi, child);
  for (let i = 0; i < ENTRIES; i++) {
    const pfn = first + i * span;
    exchange(
      state,
      child.base + i,
      (partLo & 0xfff) | pfnLo(pfn),
      (partHi & ATTRIBUTES) | pfnHi(pfn),
    );
  }
  const linked = linkPage(state, sptep, lo, hi, child);
  // The large leaf was counted out with the link; its parts came in without a change of theirs.
  const name = PAGES_STAT[child.level];
  if (linked && name) state.stats[name] += ENTRIES;
  announceSplit(state, parent, sptep, lo, hi, linked ? ERRNO.done : ERRNO.busy);
  return linked;
}

/** Bits 63:52 of an spte, in its high half. */
export const ATTRIBUTES = 0xfff00000;

const smallLo = (state: MmuState, lo: number, child: ShadowPage): number => {
  const bits = child.level === 1 ? lo & ~LARGE : lo;
  return isExecutableAgain(state, child) ? bits | state.format.exec : bits;
};
const smallHi = (state: MmuState, hi: number, child: ShadowPage): number =>
  isExecutableAgain(state, child) ? hi & ~state.format.nx : hi;

/** Only large pages lose X to the NX workaround. */
const isExecutableAgain = (state: MmuState, child: ShadowPage): boolean =>
  state.knobs.nxHugePages && child.level === 1 && (roleAccess(child.role) & ACC.exec) !== 0;

/**
 * Splits every leaf above `targetLevel` over [start, end) of the slot (kvm_tdp_mmu_try_split_huge_pages):
 * eager splitting spares vCPUs the faults once the log is on. Ends early when the host has no frame left.
 */
export function tdpSplitHugePages(
  state: MmuState,
  slot: MemorySlot,
  start: Gfn,
  end: Gfn,
  targetLevel: number,
): void {
  visitRoots(state, slot.asId, "valid", (root) => {
    let room = true;
    visitRange(state, root, { start, end, minLevel: targetLevel + 1 }, (iter) => {
      while (room && iter.leaf && iter.lo & LARGE) room = splitAt(state, iter);
      return false;
    });
    return false;
  });
}

/** One try. False when there is no frame for the child. */
function splitAt(state: MmuState, iter: TdpIterator): boolean {
  const { sptep, lo, hi } = iter;
  const child = newChild(state, iter.page, sptep);
  if (!child) {
    announceSplit(state, iter.page, sptep, lo, hi, ERRNO.noMemory);
    return false;
  }
  if (!splitLeaf(state, sptep, lo, hi, child)) state.release(child);
  iter.reread();
  return true;
}

function announceSplit(
  state: MmuState,
  page: ShadowPage,
  sptep: Sptep,
  lo: number,
  hi: number,
  errno: number,
): void {
  if (!state.trace.wants("kvm_mmu_split_huge_page")) return;
  state.trace.emit("kvm_mmu_split_huge_page", {
    gfn: page.gfnAt(sptep - page.base),
    spte: spteValue(lo, hi),
    level: page.level,
    errno,
  });
}
