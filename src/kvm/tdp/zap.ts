import { type Gfn, gfn, pagesPerLevel } from "../../x86";
import type { MemorySlot } from "../memslots";
import type { DropReason } from "../mmu/announce";
import type { ShadowPage } from "../mmu/shadow-page";
import type { MmuState } from "../mmu/state";
import { treesOf } from "./pages";
import { heldWhile, visitRoots } from "./roots";
import { setTdpSpte, setTdpSpteShared } from "./set-spte";
import { visitRange } from "./visit";

/** Levels at which a root is emptied, one pass each: many small steps, between which others get the lock. */
const ZAP_LEVELS = [1, 2, 3];

/** First gfn beyond what a root can map. */
const endOf = (root: ShadowPage): Gfn => gfn(512 * pagesPerLevel(root.level));

/** Empties the leaves that map [start, end) in one tree. True when TLBs must be flushed. */
function zapLeaves(
  state: MmuState,
  root: ShadowPage,
  start: Gfn,
  end: Gfn,
  reason: DropReason,
): boolean {
  const { emptyLo, emptyHi } = state.format;
  return visitRange(state, root, { start, end, minLevel: 1 }, (iter) => {
    if (!iter.leaf) return false;
    setTdpSpte(state, iter.sptep, emptyLo, emptyHi, reason);
    // No vCPU enters the guest with an invalid root again.
    return !root.invalid;
  });
}

/**
 * The host takes the pages behind these frames away (kvm_tdp_mmu_unmap_gfn_range): no tree may map them
 * any more, not even one that is about to go. True when TLBs must be flushed.
 */
export const tdpUnmapRange = (
  state: MmuState,
  slot: MemorySlot,
  start: Gfn,
  end: Gfn,
  reason: DropReason,
): boolean =>
  visitRoots(state, slot.asId, "all", (root) => zapLeaves(state, root, start, end, reason));

/** Empties a whole tree, the smallest subtrees first. */
function zapRoot(state: MmuState, root: ShadowPage, shared: boolean): boolean {
  const { emptyLo, emptyHi } = state.format;
  for (const level of [...ZAP_LEVELS, root.level])
    visitRange(state, root, { start: gfn(0), end: endOf(root), minLevel: level }, (iter) => {
      while (iter.present && iter.level <= level) {
        if (shared && !setTdpSpteShared(state, iter, emptyLo, emptyHi)) continue;
        if (!shared) setTdpSpte(state, iter.sptep, emptyLo, emptyHi);
        break;
      }
      return false;
    });
  // Whoever uses the tree is made to leave it, or is gone.
  return false;
}

/** Empties every tree there is: the process goes away (kvm_tdp_mmu_zap_all). */
export function tdpZapAll(state: MmuState): void {
  visitRoots(state, undefined, "all", (root) => zapRoot(state, root, false));
}

/** Empties the roots that were made invalid, and gives up the MMU's own reference to each. */
export function zapInvalidatedRoots(state: MmuState): void {
  const { scheduledToZap } = treesOf(state);
  for (const root of [...scheduledToZap]) {
    if (!scheduledToZap.delete(root)) continue;
    heldWhile(state, root, () => zapRoot(state, root, true));
  }
}

/** Takes one page, with what is below it, out of its tree (kvm_tdp_mmu_zap_sp). True when a flush is due. */
export function tdpZapPage(state: MmuState, page: ShadowPage): boolean {
  const sptep = page.parentPtes;
  if (typeof sptep !== "number" || sptep === 0) return false;
  const reader = state.grace.enter();
  setTdpSpte(state, sptep, state.format.emptyLo, state.format.emptyHi);
  state.grace.leave(reader);
  return true;
}
