import type { DropReason } from "../mmu/announce";
import type { Sptep } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { changedSpte } from "./changed-spte";
import { compareExchange, exchange } from "./exchange";
import type { TdpIterator } from "./iterator";

/** Changes an entry with mmu_lock held for write: nobody but the hardware and the fast path interferes. */
export function setTdpSpte(
  state: MmuState,
  sptep: Sptep,
  lo: number,
  hi: number,
  reason: DropReason = "zap",
): void {
  exchange(state, sptep, lo, hi);
  const { lo: oldLo, hi: oldHi } = state.replaced;
  changedSpte(state, { sptep, oldLo, oldHi, lo, hi, shared: false, reason });
}

/**
 * Changes the entry an iterator is at, with mmu_lock held for read (tdp_mmu_set_spte_atomic). False, and
 * the iterator has the new value, when somebody else changed it since it was read.
 */
export function setTdpSpteShared(
  state: MmuState,
  iter: TdpIterator,
  lo: number,
  hi: number,
  reason: DropReason = "zap",
): boolean {
  const { sptep, lo: oldLo, hi: oldHi } = iter;
  if (!compareExchange(state, sptep, oldLo, oldHi, lo, hi)) {
    iter.reread();
    return false;
  }
  changedSpte(state, { sptep, oldLo, oldHi, lo, hi, shared: true, reason });
  return true;
}
