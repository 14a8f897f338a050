import { pfn } from "../../x86";
import { announceDrop, type DropReason, reachPoint } from "./announce";
import { storeHalves } from "./halves";
import { type Sptep, sptePfn, spteValue, WRITABLE } from "./spte";
import type { MmuState, SpteWrite } from "./state";

/*
 * The only stores to sptes. An entry that may change without mmu_lock is exchanged, any other plainly
 * stored; in one thread both are the same store, and the log tells them apart for the checker.
 */

/** Stores, and leaves in `state.replaced` what the entry held, as far as the store can tell. */
function store(state: MmuState, sptep: Sptep, lo: number, hi: number): void {
  const { words, replaced } = state;
  replaced.lo = words[2 * sptep]!;
  replaced.hi = words[2 * sptep + 1]!;
  let kind: SpteWrite["kind"] = "store";
  if (state.format.isVolatile(replaced.lo, replaced.hi)) {
    reachPoint(state, "R2");
    if (!state.profile.flaws.has("plain-stores")) {
      kind = "exchange";
      replaced.lo = words[2 * sptep]!;
      replaced.hi = words[2 * sptep + 1]!;
    }
  }
  state.writeLog?.push({ sptep, oldLo: replaced.lo, oldHi: replaced.hi, kind });
  if (state.knobs.host32) storeHalves(state, sptep, lo, hi);
  else {
    words[2 * sptep] = lo;
    words[2 * sptep + 1] = hi;
  }
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
  if (!isPresentAt(state, sptep)) {
    setSpte(state, sptep, lo, hi);
    return false;
  }
  store(state, sptep, lo, hi);
  const { lo: oldLo, hi: oldHi } = state.replaced;
  transferUse(state, oldLo, oldHi, lo, hi);
  const flush = state.format.losesWrite(oldLo, oldHi, lo, hi);
  announceUpdate(state, sptep, lo, hi, flush);
  return flush;
}

/** Gives a present leaf another host page and value; what it told of the old page goes to that. */
export function replaceLeaf(state: MmuState, sptep: Sptep, lo: number, hi: number): void {
  const { emptyLo, emptyHi } = state.format;
  store(state, sptep, lo, hi);
  const { lo: oldLo, hi: oldHi } = state.replaced;
  transferUse(state, oldLo, oldHi, emptyLo, emptyHi);
  announceUpdate(state, sptep, lo, hi, true);
}

/** Shows a present leaf that keeps its frame; the old value is in `state.replaced`. */
export function announceUpdate(
  state: MmuState,
  sptep: Sptep,
  lo: number,
  hi: number,
  flush: boolean,
): void {
  if (!state.trace.wants("spte_update")) return;
  state.trace.emit("spte_update", {
    sptep: state.hpaOf(sptep),
    old: spteValue(state.replaced.lo, state.replaced.hi),
    new: spteValue(lo, hi),
    flush,
  });
}

/** Empties an entry that is no leaf: a pointer to a page, or an mmio mark. */
export function clearSpte(state: MmuState, sptep: Sptep): void {
  store(state, sptep, state.format.emptyLo, state.format.emptyHi);
}

/** Empties a present leaf; its accessed and dirty bits go to the host page. */
export function clearLeaf(state: MmuState, sptep: Sptep, reason: DropReason): void {
  const { emptyLo, emptyHi } = state.format;
  store(state, sptep, emptyLo, emptyHi);
  const { lo, hi } = state.replaced;
  transferUse(state, lo, hi, emptyLo, emptyHi);
  announceDrop(state, sptep, lo, hi, reason);
}

/** What the old value tells of the page's use, and the new one no longer does, is told to the host. */
export function transferUse(
  state: MmuState,
  oldLo: number,
  oldHi: number,
  lo: number,
  hi: number,
): void {
  const { format } = state;
  const gone = !format.isPresent(lo, hi);
  const used = format.isYoung(oldLo, oldHi) && (gone || !format.isYoung(lo, hi));
  const written = format.isDirty(oldLo, oldHi) && (gone || !format.isDirty(lo, hi));
  if (used || written) state.hostProcess.markUsed(pfn(sptePfn(oldLo, oldHi)), written);
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
  return updateSpte(state, sptep, lo & ~clearedLo, hi & ~clearedHi);
}

/** Clears D, so that the processor logs the next write. */
export function clearDirtySpte(state: MmuState, sptep: Sptep): void {
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  if (state.format.isDirty(lo, hi)) updateSpte(state, sptep, lo & ~state.format.dirty, hi);
}

/** The page was used through this leaf since it was last aged. */
export const isYoungAt = (state: MmuState, sptep: Sptep): boolean =>
  state.format.isYoung(state.words[2 * sptep]!, state.words[2 * sptep + 1]!);

/**
 * Clears the leaf's mark of use and says whether it was there: the A bit, or where those are not used
 * the rights, which the next access must ask for. TLBs are not flushed: late news of use is no harm.
 */
export function ageSpte(state: MmuState, sptep: Sptep): boolean {
  const { format } = state;
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  if (!format.isYoung(lo, hi)) return false;
  if (format.usesAdBits(hi)) updateSpte(state, sptep, lo & ~format.accessed, hi);
  else updateSpte(state, sptep, format.trackedLo(lo), format.trackedHi(lo, hi));
  return true;
}
