import { tdpZapPage } from "../tdp/zap";
import type { MmuKnobs } from "./knobs";
import { unaccountNxHugePage } from "./nx-huge-pages";
import { slotOf } from "./rmap";
import type { MmuState } from "./state";
import { flushOrZap, type InvalidList, invalidateAll, prepareZap } from "./zap";

/**
 * One turn of the recovery worker (kvm_recover_nx_huge_pages): the oldest of the pages that stand for a
 * disallowed huge page go, one in `nxHugePagesRecoveryRatio`, so that a page nobody executes becomes huge
 * again. Those of a slot that logs would come back small at once: they are only forgotten, and recovered
 * with the rest of their slot when logging stops. Returns the number of pages taken off the list.
 */
export function recoverNxHugePages(state: MmuState): number {
  const ratio = state.knobs.nxHugePagesRecoveryRatio;
  const turn = ratio === 0 ? 0 : Math.ceil(state.stats.nx_lpage_splits / ratio);
  const list: InvalidList = [];
  let flush = false;
  let taken = 0;
  for (const page of state.possibleNxHugePages) {
    if (taken === turn) break;
    taken++;
    if (slotOf(state, page, page.gfn)?.logsDirty) unaccountNxHugePage(state, page);
    else if (page.tdpMmuPage) flush = tdpZapPage(state, page) || flush;
    else prepareZap(state, page, list);
  }
  flushOrZap(state, list, flush, "huge pages may come back");
  return taken;
}

/** Writes `nx_huge_pages`: what was mapped by the other rule goes. */
export function setNxHugePages(state: MmuState, on: boolean): void {
  if (state.knobs.nxHugePages === on) return;
  state.knobs = { ...state.knobs, nxHugePages: on } satisfies MmuKnobs;
  invalidateAll(state);
}
