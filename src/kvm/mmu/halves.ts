import { reachPoint } from "./announce";
import type { Sptep } from "./spte";
import type { MmuState } from "./state";

/*
 * A 32-bit host stores and reads an spte in two halves, and somebody may come between. The halves are
 * ordered so that an entry is never seen present with half an address, and a page counts how often one
 * of its entries became empty: a reader who sees the count move has read halves of two values
 * (mmu.rst, clear_spte_count; kernels since 3.1).
 */

/** Stores an spte: the high half first when it becomes present, else the low one, which holds P. */
export function storeHalves(state: MmuState, sptep: Sptep, lo: number, hi: number): void {
  const { words } = state;
  const appears = words[2 * sptep + 1] === state.format.emptyHi;
  if (appears) words[2 * sptep + 1] = hi;
  else words[2 * sptep] = lo;
  reachPoint(state, "H1");
  if (appears) words[2 * sptep] = lo;
  else words[2 * sptep + 1] = hi;
  if (state.format.isEmpty(lo, hi)) state.pageOf(sptep).clearSpteCount++;
}

/** Reads an spte without mmu_lock into `state.seen`: both halves of one value. */
function readHalves(state: MmuState, sptep: Sptep): void {
  const { words, seen } = state;
  const page = state.pageOf(sptep);
  let before: number;
  do {
    before = page.clearSpteCount;
    seen.lo = words[2 * sptep]!;
    reachPoint(state, "H2");
    seen.hi = words[2 * sptep + 1]!;
  } while (seen.lo !== words[2 * sptep] || before !== page.clearSpteCount);
}

/** The same for any host: a 64-bit one reads all of an entry at once. */
export function readLockless(state: MmuState, sptep: Sptep): void {
  if (state.knobs.host32) readHalves(state, sptep);
  else {
    state.seen.lo = state.words[2 * sptep]!;
    state.seen.hi = state.words[2 * sptep + 1]!;
  }
}
