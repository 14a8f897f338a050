import { ACC, gfn } from "../../x86";
import { tdpMap } from "../tdp/map";
import { reachPoint } from "./announce";
import type { MmuContext } from "./context";
import { fastPageFault } from "./fast-page-fault";
import type { Fault } from "./fault-state";
import { faultinPfn, isFaultStale, retry } from "./faultin";
import { announceRequested, mapLeaf } from "./fetch";
import { adjustLevel } from "./level";
import { makePagesAvailable } from "./make-room";
import { entryOf, topPage } from "./mmio";
import { RET, type Ret } from "./result";
import type { MmuState } from "./state";
import { isWriteTracked } from "./write-track";

/** PAE roots hold 2M entries at most. */
const NONPAGING_MAX_LEVEL = 2;
const TDP_MAX_LEVEL = 3;

/**
 * A fault at a guest-physical address, any access to which is allowed: of a guest that does not page
 * (nonpaging_page_fault), or in the second dimension (kvm_tdp_page_fault).
 */
export function directFault(state: MmuState, context: MmuContext, fault: Fault): Ret {
  fault.gfn = gfn(Number(fault.address >> 12n));
  fault.slot = state.slotSets[0]!.find(fault.gfn);
  fault.maxLevel = context.tdp ? TDP_MAX_LEVEL : NONPAGING_MAX_LEVEL;
  if (fault.slot && fault.present && fault.write && isWriteTracked(fault.slot, fault.gfn))
    return RET.writeProtected;
  const fast = fastPageFault(state, context, fault);
  if (fast !== RET.invalid) return fast;
  context.caches.topUp();
  const found = faultinPfn(state, context, fault, ACC.all);
  if (found !== RET.continue) return found;
  reachPoint(state, "P2");
  state.lock.take(context.caches);
  const ret = mapDirect(state, context, fault);
  state.lock.give();
  return ret;
}

/** With mmu_lock held. */
function mapDirect(state: MmuState, context: MmuContext, fault: Fault): Ret {
  if (isFaultStale(state, context, fault)) return RET.retry;
  if (state.tdpMmu) return tdpMap(state, context, fault);
  if (!makePagesAvailable(state)) return retry(state, "no-page");
  const root = topPage(context.root, fault.address);
  if (!root) return retry(state, "obsolete-root");
  adjustLevel(state, fault);
  announceRequested(state, fault);
  return mapLeaf(state, context, fault, entryOf(root, fault.address), ACC.all);
}
