import { ACC, type Gfn, type Gpa, type WalkResult } from "../../x86";
import { placeIn, reflect } from "../nested/nested-exit";
import { reachPoint } from "./announce";
import type { MmuContext } from "./context";
import { fastPageFault } from "./fast-page-fault";
import type { Fault } from "./fault-state";
import { faultinPfn, isFaultStale, retry } from "./faultin";
import { fetch } from "./fetch";
import { forgetFaulted } from "./invlpg";
import { makePagesAvailable } from "./make-room";
import { entryOf, topPage } from "./mmio";
import { RET, type Ret } from "./result";
import { ROLE } from "./role";
import type { MmuState } from "./state";
import { childAt } from "./unsync";
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
  if (state.profile.flaws.has("indirect-fast-path")) {
    const fast = fastPageFault(state, context, fault);
    if (fast !== RET.invalid) return fast;
  }
  context.caches.topUp();
  const found = faultinPfn(state, context, fault, walk.access);
  if (found !== RET.continue) return found;
  const kernelForm = needsKernelForm(context, fault, walk.access);
  // A supervisor spte would let the kernel read the page after CLAC, where SMAP must fault.
  if (kernelForm && context.mode.cpuRole.base & ROLE.smapAndnotWp) return RET.emulate;
  const access = kernelForm ? kernelAccess(context, walk.access) : walk.access;
  reachPoint(state, "P2");
  state.lock.take(context.caches);
  const ret = mapShadow(state, context, fault, access);
  state.lock.give();
  return ret;
}

/** With mmu_lock held. */
function mapShadow(state: MmuState, context: MmuContext, fault: Fault, access: number): Ret {
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

/** The guest's own fault, for the vCPU to deliver; of L2's second dimension it is L1's to handle. */
function injectFault(state: MmuState, context: MmuContext, address: bigint, error: number): void {
  forgetFaulted(state, context, address, error);
  if (context.isNested) {
    const { code } = context.fault;
    const { access: rights } = context.walk;
    const place = placeIn(code);
    reflect(state, context, { ngpa: address, error, rights, place, hardwareCode: code });
    return;
  }
  context.stats.pf_guest++;
  context.injected = { error, cr2: address };
  if (state.trace.wants("kvm_inj_exception"))
    state.trace.emit("kvm_inj_exception", { vector: 14, error, cr2: address });
}

/** CR0.WP = 0: a kernel write to a read-only page, which only an spte for the kernel alone can allow. */
function needsKernelForm(context: MmuContext, fault: Fault, access: number): boolean {
  if (!fault.write || access & ACC.write || fault.user || !fault.slot) return false;
  return (context.mode.cpuRole.base & ROLE.cr0Wp) === 0;
}

/**
 * Writable, not for the user (mmu.rst, "Emulating cr0.wp"), and with SMEP not executable by the
 * kernel. The next user access turns it back.
 */
function kernelAccess(context: MmuContext, access: number): number {
  const kernel = (access | ACC.write) & ~ACC.user;
  return context.mode.cpuRole.base & ROLE.smepAndnotWp ? kernel & ~ACC.exec : kernel;
}

/** The guest uses the tables on this path as tables: they are not being flooded. */
function clearFloodCounts(state: MmuState, context: MmuContext, address: bigint): void {
  let page = topPage(context.root, address);
  while (page) {
    page.writeFloodingCount = 0;
    page = childAt(state, entryOf(page, address));
  }
}
