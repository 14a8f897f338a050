import type { Gfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import type { MmuContext } from "./context";
import { NOSLOT_PFN } from "./fault-state";
import { makeSpte, type SpteIntent } from "./make-spte";
import { markMmioSpte } from "./mmio";
import { unlinkChild } from "./parents";
import { RET, type Ret } from "./result";
import { dropSpte, rmapAdd } from "./rmap";
import { isLeaf, type Sptep, sptePfn, spteValue } from "./spte";
import { updateSpte } from "./spte-write";
import type { MmuState } from "./state";
import { childOf } from "./unsync";

/** What a leaf is to map. `slot` is undefined for mmio only. */
export interface LeafTarget {
  readonly slot: MemorySlot | undefined;
  readonly gfn: Gfn;
  readonly pfn: number;
  readonly access: number;
  readonly hostWritable: boolean;
  /** The fault that asks is a write. */
  readonly write: boolean;
}

/** Sets a leaf (mmu_set_spte): replaces what the entry held, keeps the rmap, flushes when it must. */
export function mmuSetSpte(
  state: MmuState,
  context: MmuContext,
  sptep: Sptep,
  target: LeafTarget,
  intent: SpteIntent,
): Ret {
  const { slot, pfn, access } = target;
  const page = state.pageOf(sptep);
  const oldLo = state.words[2 * sptep]!;
  const oldHi = state.words[2 * sptep + 1]!;
  let flush = false;
  let mapped = false;
  if (state.format.isPresent(oldLo, oldHi)) {
    const leaf = isLeaf(oldLo, page.level);
    if (intent.prefetch && leaf && sptePfn(oldLo, oldHi) === pfn) return RET.spurious;
    if (!leaf) {
      unlinkChild(state, childOf(state, oldLo, oldHi), sptep);
      flush = true;
    } else if (sptePfn(oldLo, oldHi) !== pfn || page.gfnAt(sptep - page.base) !== target.gfn) {
      // Two gfns may share a host page: the rmap entry belongs to the old one.
      dropSpte(state, sptep, "new-frame");
      flush = true;
    } else mapped = true;
  } else if (slot) dropSpte(state, sptep, "mmio-stale");
  if (!slot || pfn === NOSLOT_PFN) {
    context.stats.pf_mmio_spte_created++;
    if (flush) state.flushRemoteTlbs("spte replaced by mmio");
    markMmioSpte(state, sptep, target.gfn, access);
    return RET.emulate;
  }
  const made = makeSpte(
    state,
    slot,
    page.role,
    access,
    target.gfn,
    pfn,
    mapped ? oldLo : state.format.emptyLo,
    mapped ? oldHi : state.format.emptyHi,
    intent,
    target.hostWritable,
  );
  let ret: Ret = RET.fixed;
  if (mapped && (oldLo | 0) === (made.lo | 0) && (oldHi | 0) === (made.hi | 0)) ret = RET.spurious;
  else {
    if (updateSpte(state, sptep, made.lo, made.hi)) flush = true;
    announceSet(state, sptep, target.gfn, page.level, made.lo, made.hi);
  }
  if (made.writeProtected && target.write) ret = RET.writeProtected;
  if (flush) state.flushRemoteTlbs("spte replaced");
  if (mapped) page.recordTranslation(sptep - page.base, target.gfn, access);
  else rmapAdd(state, slot, sptep, target.gfn, access);
  return ret;
}

export function announceSet(
  state: MmuState,
  sptep: Sptep,
  frame: Gfn,
  level: number,
  lo: number,
  hi: number,
): void {
  if (!state.trace.wants("kvm_mmu_set_spte")) return;
  const spte = spteValue(lo, hi);
  state.trace.emit("kvm_mmu_set_spte", {
    gfn: frame,
    spte,
    access: state.format.accessText(spte),
    level,
    sptep: state.hpaOf(sptep),
  });
}
