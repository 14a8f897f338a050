import { pfn } from "../../x86";
import { announceDrop, type DropReason } from "./announce";
import { type Sptep, sptePfn, spteValue, WRITABLE } from "./spte";
import type { MmuState } from "./state";

/*
 * The only stores to sptes. An entry that may change without mmu_lock is exchanged, any other plainly
 * stored; in one thread both are the same store, and the log tells them apart for the checker.
 */

function store(state: MmuState, sptep: Sptep, lo: number, hi: number): void {
  const { words } = state;
  const oldLo = words[2 * sptep]!;
  const oldHi = words[2 * sptep + 1]!;
  const kind = state.format.isVolatile(oldLo, oldHi) ? "exchange" : "store";
  state.writeLog?.push({ sptep, oldLo, oldHi, kind });
  words[2 * sptep] = lo;
  words[2 * sptep + 1] = hi;
}

/** Shadow-present now. */
export const isPresentAt = (state: MmuState, sptep: Sptep): boolean =>
  state.format.isPresent(state.words[2 * sptep]!, state.words[2 * sptep + 1]!);

/** Sets a non-present entry. */
export function setSpte(state: MmuState, sptep: Sptep, lo: number, hi: number): void {
  if (isPresentAt(state, sptep)) throw new Error("setSpte: the entry is present");
  store(state, sptep, lo, hi);
}

/**
 * Changes a present entry that keeps its pfn. True when TLBs must be flushed before mmu_lock is
 * dropped: MMU-writable was taken away, so a writable translation may be cached.
 */
export function updateSpte(state: MmuState, sptep: Sptep, lo: number, hi: number): boolean {
  const oldLo = state.words[2 * sptep]!;
  const oldHi = state.words[2 * sptep + 1]!;
  if (!state.format.isPresent(oldLo, oldHi)) {
    setSpte(state, sptep, lo, hi);
    return false;
  }
  store(state, sptep, lo, hi);
  transferUse(state, oldLo, oldHi, lo);
  const flush = state.format.losesWrite(oldLo, oldHi, lo, hi);
  if (state.trace.wants("spte_update"))
    state.trace.emit("spte_update", {
      sptep: state.hpaOf(sptep),
      old: spteValue(oldLo, oldHi),
      new: spteValue(lo, hi),
      flush,
    });
  return flush;
}

/** Empties an entry that is no leaf: a pointer to a page, or an mmio mark. */
export function clearSpte(state: MmuState, sptep: Sptep): void {
  store(state, sptep, state.format.emptyLo, state.format.emptyHi);
}

/** Empties a present leaf; its accessed and dirty bits go to the host page. */
export function clearLeaf(state: MmuState, sptep: Sptep, reason: DropReason): void {
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  store(state, sptep, state.format.emptyLo, state.format.emptyHi);
  transferUse(state, lo, hi, 0);
  announceDrop(state, sptep, lo, hi, reason);
}

/** What the old value tells of the page's use, and the new one no longer does, is told to the host. */
function transferUse(state: MmuState, oldLo: number, oldHi: number, newLo: number): void {
  const { accessed, dirty } = state.format;
  const lost = oldLo & ~newLo;
  if ((lost & (accessed | dirty)) === 0) return;
  state.hostProcess.markUsed(pfn(sptePfn(oldLo, oldHi)), (lost & dirty) !== 0);
}

/**
 * Takes W away. `ptProtect` is for a frame that becomes a synced guest table: it takes MMU-writable
 * too. True when TLBs must be flushed.
 */
export function writeProtectSpte(state: MmuState, sptep: Sptep, ptProtect: boolean): boolean {
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  const { format } = state;
  if (!(lo & WRITABLE) && !(ptProtect && format.isMmuWritable(lo, hi))) return false;
  const clearedLo = ptProtect ? WRITABLE | format.mmuWritableLo : WRITABLE;
  const clearedHi = ptProtect ? format.mmuWritableHi : 0;
  updateSpte(state, sptep, lo & ~clearedLo, hi & ~clearedHi);
  return true;
}
