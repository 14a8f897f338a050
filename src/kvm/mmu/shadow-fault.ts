import { ACC, type Gfn, type Gpa, type WalkResult } from "../../x86";
import { reachPoint } from "./announce";
import type { MmuContext } from "./context";
import type { Fault } from "./fault-state";
import { faultinPfn, isFaultStale, retry } from "./faultin";
import { fetch } from "./fetch";
import { forgetFaulted } from "./invlpg";
import { makePagesAvailable } from "./make-room";
import { entryOf, topPage } from "./mmio";
import { RET, type Ret } from "./result";
import { ROLE } from "./role";
import { isLeaf, isPresent } from "./spte";
import type { MmuState } from "./state";
import { childOf } from "./unsync";
import { walkGuest } from "./walk-guest";
import { isWriteTracked } from "./write-track";

/** RSVD is a property of the shadow entry, not of the access. */
const RESERVED = 0x8;

/** A fault of a guest with paging on (FNAME(page_fault); mmu.rst, "Reaction to events"). */
export function shadowFault(state: MmuState, context: MmuContext, fault: Fault): Ret {
  const walk = walkGuest(state, context, fault.address, fault.code & ~RESERVED);
  if (walk.kind === "fault") {
    injectFault(state, context, fault.address, walk.error);
    return RET.retry;
  }
  fault.gfn = walk.frame;
  fault.maxLevel = walk.level;
  fault.toOwnTable = fault.write && isOnPath(walk, walk.frame);
  fault.slot = state.slotSets[0]!.find(fault.gfn);
  if (fault.slot && fault.present && fault.write && isWriteTracked(fault.slot, fault.gfn)) {
    clearFloodCounts(state, context, fault.address);
    return RET.writeProtected;
  }
  const found = faultinPfn(state, context, fault, walk.access);
  if (found !== RET.continue) return found;
  const access = withoutWriteProtection(context, fault, walk.access);
  reachPoint(state, "P2");
  if (isFaultStale(state, context, fault)) return RET.retry;
  if (!makePagesAvailable(state)) return retry(state, "no-page");
  return fetch(state, context, fault, access);
}

/** The frame holds one of the tables of the walk. */
function isOnPath(walk: WalkResult<Gpa>, frame: Gfn): boolean {
  for (let level = walk.top; level >= walk.level; level--)
    if (walk.tableFrame(level) === frame) return true;
  return false;
}

/** The guest's own fault, for the vCPU to deliver. */
function injectFault(state: MmuState, context: MmuContext, address: bigint, error: number): void {
  forgetFaulted(state, context, address, error);
  context.stats.pf_guest++;
  context.injected = { error, cr2: address };
  if (state.trace.wants("kvm_inj_exception"))
    state.trace.emit("kvm_inj_exception", { vector: 14, error, cr2: address });
}

/**
 * CR0.WP = 0: a kernel write to a read-only user page gets an spte for the kernel alone (mmu.rst,
 * "Emulating cr0.wp"), and with SMEP one it cannot execute. The next user access turns it back.
 */
function withoutWriteProtection(context: MmuContext, fault: Fault, access: number): number {
  const { base } = context.mode.cpuRole;
  if (!fault.write || access & ACC.write || base & ROLE.cr0Wp || fault.user || !fault.slot)
    return access;
  const kernel = (access | ACC.write) & ~ACC.user;
  return base & ROLE.smepAndnotWp ? kernel & ~ACC.exec : kernel;
}

/** The guest uses the tables on this path as tables: they are not being flooded. */
function clearFloodCounts(state: MmuState, context: MmuContext, address: bigint): void {
  let page = topPage(context, address);
  while (page) {
    page.writeFloodingCount = 0;
    const sptep = entryOf(page, address);
    const lo = state.words[2 * sptep]!;
    if (!isPresent(lo) || isLeaf(lo, page.level)) return;
    page = childOf(state, lo, state.words[2 * sptep + 1]!);
  }
}
