import type { Gfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import type { Sptep } from "../mmu/spte";
import { isYoungAt } from "../mmu/spte-write";
import type { MmuState } from "../mmu/state";
import { clearMark } from "./changed-spte";
import { visitRoots } from "./roots";
import { visitRange } from "./visit";

/**
 * Clears the mark of use of every leaf over [start, end), and says whether there was one
 * (kvm_tdp_mmu_age_gfn_range). No TLB is flushed: late news of use is no harm.
 */
export const tdpAge = (state: MmuState, slot: MemorySlot, start: Gfn, end: Gfn): boolean =>
  anyYoung(state, slot, start, end, (sptep) => makeOld(state, sptep));

/** The same look without a change (kvm_tdp_mmu_test_age_gfn). */
export const tdpTestAge = (state: MmuState, slot: MemorySlot, start: Gfn, end: Gfn): boolean =>
  anyYoung(state, slot, start, end, () => undefined);

/** Trees that are about to go count as well: pages were used through them. */
function anyYoung(
  state: MmuState,
  slot: MemorySlot,
  start: Gfn,
  end: Gfn,
  found: (sptep: Sptep) => void,
): boolean {
  return visitRoots(state, slot.asId, "all", (root) => {
    let young = false;
    visitRange(state, root, { start, end, minLevel: 1 }, (iter) => {
      if (!iter.leaf || !isYoungAt(state, iter.sptep)) return false;
      young = true;
      found(iter.sptep);
      return false;
    });
    return young;
  });
}

/** Clears A, or where A bits are not used takes the rights away, so that the next use faults. */
function makeOld(state: MmuState, sptep: Sptep): void {
  const { words, format } = state;
  const lo = words[2 * sptep]!;
  const hi = words[2 * sptep + 1]!;
  if (format.usesAdBits(hi)) clearMark(state, sptep, lo & ~format.accessed, hi);
  else clearMark(state, sptep, format.trackedLo(lo), format.trackedHi(lo, hi));
}
