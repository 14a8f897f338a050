import { reachPoint } from "./announce";
import type { MmuContext } from "./context";
import type { Fault } from "./fault-state";
import { lastSpte } from "./mmio";
import { RET, type Ret } from "./result";
import { ROLE } from "./role";
import { isLeaf, LARGE, type Sptep, spteValue, WRITABLE } from "./spte";
import type { MmuState } from "./state";

/** Tries before the fault goes the slow way: somebody keeps changing the entry. */
const TRIES = 5;

/**
 * Gives back, without mmu_lock, what an spte may grant and does not now: W taken for the dirty log, or
 * access taken to see whether the page is used (locking.rst, "Fast page fault"). The entry is compared
 * and exchanged, so any change of it since it was read makes the try fail. Only the entries of direct
 * pages: their gfn never changes, so a frame that went and came back means the same (F-151).
 */
export function fastPageFault(state: MmuState, context: MmuContext, fault: Fault): Ret {
  const { fastPageFault: kind } = state.profile;
  if (kind === "none" || !isEligible(context, fault)) return RET.invalid;
  // Without the lock nothing else keeps a table from being freed under the walk.
  const reader = state.grace.enter();
  const attempt = kind === "once" ? tryOnce : tryRepeatedly;
  const ret = attempt(state, context, fault);
  state.grace.leave(reader);
  return ret;
}

/** A write to what is present, or any access where A is kept by taking access away. */
function isEligible(context: MmuContext, fault: Fault): boolean {
  if (fault.reserved) return false;
  if (!fault.present) return (context.mode.rootRole & ROLE.adDisabled) !== 0;
  return fault.write;
}

function tryRepeatedly(state: MmuState, context: MmuContext, fault: Fault): Ret {
  let ret: Ret = RET.invalid;
  let sptep: Sptep = -1;
  let lo = 0;
  let hi = 0;
  for (let i = 0; i < TRIES; i++) {
    sptep = lastSpte(state, context, fault.address);
    if (sptep < 0) return RET.invalid;
    ({ lo, hi } = state.seen);
    if (!isFastLeaf(state, sptep, lo, hi)) break;
    if (isAllowed(state, fault, lo, hi)) {
      ret = RET.spurious;
      break;
    }
    reachPoint(state, "R1");
    const more = granted(state, fault, sptep, lo, hi);
    if (!more) break;
    if (exchange(state, fault, sptep, lo, hi, more.lo, more.hi)) {
      ret = RET.fixed;
      break;
    }
  }
  return concluded(state, context, fault, sptep, lo, hi, ret);
}

/** As in 3.6: one try, and a lost exchange or a mapping that is gone count as handled too. */
function tryOnce(state: MmuState, context: MmuContext, fault: Fault): Ret {
  const sptep = lastSpte(state, context, fault.address);
  if (sptep < 0 || !fault.present) return RET.invalid;
  const { lo, hi } = state.seen;
  if (!state.format.isPresent(lo, hi))
    return concluded(state, context, fault, sptep, lo, hi, RET.fixed);
  let ret: Ret = RET.invalid;
  if (isFastLeaf(state, sptep, lo, hi)) {
    reachPoint(state, "R1");
    if (lo & WRITABLE) ret = RET.spurious;
    else if (state.format.isHostWritable(lo, hi) && state.format.isMmuWritable(lo, hi)) {
      exchange(state, fault, sptep, lo, hi, lo | WRITABLE, hi);
      ret = RET.fixed;
    }
  }
  return concluded(state, context, fault, sptep, lo, hi, ret);
}

/** Indirect pages are for the profile that has the bug on purpose. */
function isFastLeaf(state: MmuState, sptep: Sptep, lo: number, hi: number): boolean {
  const page = state.pageOf(sptep);
  return (
    state.format.isPresent(lo, hi) &&
    isLeaf(lo, page.level) &&
    (page.direct || state.profile.flaws.has("indirect-fast-path"))
  );
}

/** The entry lets the access through as it is. */
function isAllowed(state: MmuState, fault: Fault, lo: number, hi: number): boolean {
  if (fault.fetch) return state.format.isExecutable(lo, hi);
  return (lo & (fault.write ? WRITABLE : 1)) !== 0;
}

/** The value that lets the access through; undefined where only the slow path can make one. */
function granted(
  state: MmuState,
  fault: Fault,
  sptep: Sptep,
  lo: number,
  hi: number,
): { readonly lo: number; readonly hi: number } | undefined {
  const { format } = state;
  const tracked = format.isAccessTracked(lo, hi);
  let newLo = tracked ? format.restoredLo(lo, hi) : lo;
  const newHi = tracked ? format.restoredHi(hi) : hi;
  if (fault.write && format.isMmuWritable(lo, hi)) {
    newLo |= WRITABLE;
    // A large page in a slot that logs must be split: the log is kept for 4K frames.
    if (lo & LARGE && state.pageOf(sptep).level > 1 && fault.slot?.logsDirty) return undefined;
  }
  const changed = newLo !== lo || newHi !== hi;
  return changed && isAllowed(state, fault, newLo, newHi) ? { lo: newLo, hi: newHi } : undefined;
}

/** Replaces the value that was read, unless it has changed; a page that becomes writable is dirty. */
function exchange(
  state: MmuState,
  fault: Fault,
  sptep: Sptep,
  lo: number,
  hi: number,
  newLo: number,
  newHi: number,
): boolean {
  reachPoint(state, "R3");
  const { words } = state;
  if (words[2 * sptep] !== lo >>> 0 || words[2 * sptep + 1] !== hi >>> 0) return false;
  words[2 * sptep] = newLo;
  words[2 * sptep + 1] = newHi;
  if (newLo & ~lo & WRITABLE && fault.slot)
    state.markDirty(fault.slot, fault.gfn, "fast page fault");
  return true;
}

function concluded(
  state: MmuState,
  context: MmuContext,
  fault: Fault,
  sptep: Sptep,
  lo: number,
  hi: number,
  ret: Ret,
): Ret {
  if (state.trace.wants("fast_page_fault"))
    state.trace.emit("fast_page_fault", {
      vcpu: context.id,
      gva: fault.address,
      error_code: fault.code,
      sptep: state.hpaOf(sptep),
      old: spteValue(lo, hi),
      new: spteValue(state.words[2 * sptep]!, state.words[2 * sptep + 1]!),
      spurious: ret === RET.spurious,
      fixed: ret === RET.fixed,
    });
  if (ret !== RET.invalid) context.stats.pf_fast++;
  return ret;
}
