import { type Gfn, pagesPerLevel } from "../../x86";
import type { MmuContext } from "./context";
import { type Fault, NOSLOT_PFN } from "./fault-state";
import { retry } from "./faultin";
import { getShadowPage } from "./get-page";
import { adjustLevel, roundForLevel } from "./level";
import { ON_FAULT } from "./make-spte";
import { entryOf, topPage } from "./mmio";
import { accountNxHugePage, lowerDisallowedGoal } from "./nx-huge-pages";
import { linkShadowPage, unlinkChild } from "./parents";
import { prefetchAround } from "./prefetch";
import { RET, type Ret } from "./result";
import { childRole, roleAccess } from "./role";
import { mmuSetSpte } from "./set-spte";
import type { ShadowPage } from "./shadow-page";
import type { Sptep } from "./spte";
import type { MmuState } from "./state";
import { syncChildren } from "./sync";
import { childAt } from "./unsync";
import { gpteChanged } from "./walk-guest";

/**
 * Builds the shadow of the walk in `context.walk` down to the leaf (FNAME(fetch)). Each guest table
 * is write-protected first and then read again, so a change that slipped in between is seen; then
 * the access is tried again.
 */
export function fetch(state: MmuState, context: MmuContext, fault: Fault, access: number): Ret {
  const { walk, root } = context;
  const top = topPage(root, fault.address);
  if (!top) {
    // A table that the root left out, as it was in no slot, has come to lie in one: build the real root.
    state.request(context, "freeObsoleteRoots");
    return retry(state, "obsolete-root");
  }
  // Under PAE paging this is the level below the registers; a root may have a level that the guest lacks.
  const first = Math.min(top.level, walk.top);
  if (gpteChanged(state, context, first)) return RET.retry;
  if (top.hasGptes && top.gfn !== walk.tableFrame(first)) {
    // PDPTEs of nested paging are memory, and L1 has changed one. Kernels would go on in the wrong table.
    state.request(context, "freeObsoleteRoots");
    return retry(state, "obsolete-root");
  }
  let page = top;
  page.writeFloodingCount = 0;
  while (page.level > walk.level) {
    const level = page.level - 1;
    const sptep = entryOf(page, fault.address);
    const table = walk.tableFrame(level);
    const existing = existingChild(state, sptep, table);
    const child = existing ?? tableBelow(state, context, page, sptep, table, level);
    if (gpteChanged(state, context, level)) return RET.retry;
    if (!existing) linkShadowPage(state, sptep, child);
    page = child;
    page.writeFloodingCount = 0;
  }
  adjustLevel(state, fault);
  announceRequested(state, fault);
  return mapLeaf(state, context, fault, entryOf(page, fault.address), access);
}

/** The page for a guest table, in sync before anything can reach it. */
function tableBelow(
  state: MmuState,
  context: MmuContext,
  parent: ShadowPage,
  sptep: Sptep,
  table: Gfn,
  level: number,
): ShadowPage {
  const access = context.walk.inheritedAccess(level);
  const role = childRole(parent.role, false, access, sptep - parent.base);
  const page = getShadowPage(state, context, table, role);
  if (page.unsyncChildren > 0) {
    if (state.profile.foundUnsyncChildren === "now") syncChildren(state, context, page);
    else state.request(context, "mmuSync");
  }
  return page;
}

/** The child there is, when it stands for this gfn. */
function existingChild(state: MmuState, sptep: Sptep, frame: Gfn): ShadowPage | undefined {
  const child = childAt(state, sptep);
  return child?.gfn === frame ? child : undefined;
}

/** From the entry that stands for the guest's leaf down to the goal level, through direct pages. */
export function mapLeaf(
  state: MmuState,
  context: MmuContext,
  fault: Fault,
  top: Sptep,
  access: number,
): Ret {
  let sptep = top;
  let page = state.pageOf(sptep);
  for (;;) {
    if (state.knobs.nxHugePages) lowerDisallowedGoal(fault, page.level, childAt(state, sptep));
    if (page.level <= fault.goalLevel) break;
    validateDirect(state, sptep, access);
    const base = roundForLevel(fault.gfn, page.level);
    let child = existingChild(state, sptep, base);
    if (!child) {
      const role = childRole(page.role, true, access, sptep - page.base);
      child = getShadowPage(state, context, base, role);
      linkShadowPage(state, sptep, child);
      if (fault.hugePageDisallowed) accountNxHugePage(state, child, fault.reqLevel >= page.level);
    }
    page = child;
    const index = Math.floor((fault.gfn - base) / pagesPerLevel(page.level));
    sptep = page.base + index;
  }
  const target = {
    slot: fault.pfn === NOSLOT_PFN ? undefined : fault.slot,
    gfn: roundForLevel(fault.gfn, fault.goalLevel),
    pfn: fault.pfn,
    access,
    hostWritable: fault.mapWritable,
    write: fault.write,
  };
  const ret = mmuSetSpte(state, context, sptep, target, ON_FAULT);
  if (ret !== RET.spurious) prefetchAround(state, context, sptep);
  return ret;
}

/** A direct child built for other rights than the gpte now grants is let go (validate_direct_spte). */
function validateDirect(state: MmuState, sptep: Sptep, access: number): void {
  const child = childAt(state, sptep);
  if (!child || roleAccess(child.role) === access) return;
  unlinkChild(state, child, sptep);
  state.flushRemoteTlbs("direct page of other access");
}

export function announceRequested(state: MmuState, fault: Fault): void {
  if (!state.trace.wants("kvm_mmu_spte_requested")) return;
  state.trace.emit("kvm_mmu_spte_requested", {
    gfn: fault.gfn,
    // Of the page that was asked for, also when the mapping begins before it.
    pfn: fault.pfn + (fault.gfn % pagesPerLevel(fault.goalLevel)),
    level: fault.goalLevel,
  });
}
