import type { Sptep } from "../mmu/spte";
import type { MmuState } from "../mmu/state";

/* The only stores to sptes of the TDP MMU. Several actors may hold mmu_lock for read, so all are atomic. */

/** Stores the value, whatever the entry held: that is left in `state.replaced`. */
export function exchange(state: MmuState, sptep: Sptep, lo: number, hi: number): void {
  const { words, replaced, writeLog } = state;
  replaced.lo = words[2 * sptep]!;
  replaced.hi = words[2 * sptep + 1]!;
  writeLog?.push({ sptep, oldLo: replaced.lo, oldHi: replaced.hi, kind: "exchange" });
  words[2 * sptep] = lo;
  words[2 * sptep + 1] = hi;
}

/** Exchanges if the entry still holds the old value. False: somebody else was first. */
export function compareExchange(
  state: MmuState,
  sptep: Sptep,
  oldLo: number,
  oldHi: number,
  lo: number,
  hi: number,
): boolean {
  const { words } = state;
  if (words[2 * sptep] !== oldLo >>> 0 || words[2 * sptep + 1] !== oldHi >>> 0) return false;
  exchange(state, sptep, lo, hi);
  return true;
}
