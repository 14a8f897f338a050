import { invalidateTdpRoots } from "../tdp/roots";
import { tdpZapAll, zapInvalidatedRoots } from "../tdp/zap";
import { unaccountShadowed } from "./account";
import { announceDrop, announcePage, type DropReason, reachPoint } from "./announce";
import { syncHardwareLogs } from "./dirty/pml";
import { unaccountNxHugePage } from "./nx-huge-pages";
import { unlinkChild, unlinkParents } from "./parents";
import { dropSpte } from "./rmap";
import { ROLE } from "./role";
import { ENTRIES, type ShadowPage } from "./shadow-page";
import { isLeaf, type Sptep } from "./spte";
import { clearSpte } from "./spte-write";
import type { MmuState } from "./state";
import { childAt, childOf, clearPath, collectUnsync, unlinkUnsync } from "./unsync";

/** Pages prepared for zapping: unreachable, not yet freed. `commitZap` flushes, then frees them. */
export type InvalidList = ShadowPage[];

/** BATCH_ZAP_PAGES. */
const ZAP_BATCH = 10;

/**
 * Takes a page out of use: its unsync descendants go too, its entries are emptied, its parents let
 * go of it. With no root slot left it joins `list`; otherwise it stays, invalid, until the last
 * slot gives it up. Returns the number of pages that joined.
 */
export function prepareZap(state: MmuState, page: ShadowPage, list: InvalidList): number {
  announcePage(state, "kvm_mmu_prepare_zap_page", page);
  state.stats.mmu_shadow_zapped++;
  let zapped = zapUnsyncChildren(state, page, list);
  for (let i = 0; i < ENTRIES; i++) {
    const child = zapEntryOf(state, page, page.base + i);
    if (child) zapped += prepareZap(state, child, list);
  }
  unlinkParents(state, page);
  if (page.invalid) state.pinned.delete(page);
  else {
    if (page.hasGptes) unaccountShadowed(state, page);
    state.active.remove(page);
    state.hash.remove(page);
  }
  if (page.unsync) unlinkUnsync(state, page);
  if (page.nxHugePageDisallowed) unaccountNxHugePage(state, page);
  const obsolete = state.isObsolete(page);
  page.role |= ROLE.invalid;
  if (page.rootCount === 0) {
    list.push(page);
    state.usedPages--;
    zapped++;
  } else {
    state.pinned.add(page);
    if (!obsolete) state.requestAll("freeObsoleteRoots");
  }
  return zapped;
}

/**
 * Empties one entry of a page that is being zapped. The page of a nested guest that it was the last to point
 * at, which goes too: L1 has tables for L2 without number, and nothing but its page's parent would say that
 * one is no longer in use.
 */
function zapEntryOf(state: MmuState, page: ShadowPage, sptep: Sptep): ShadowPage | undefined {
  const child = state.tdpEnabled && page.role & ROLE.guestMode ? childAt(state, sptep) : undefined;
  zapEntry(state, page, sptep, "zap");
  const orphan = child && child.parentPtes === 0 && !child.invalid && !child.tdpMmuPage;
  return orphan && child.role & ROLE.guestMode ? child : undefined;
}

function zapUnsyncChildren(state: MmuState, page: ShadowPage, list: InvalidList): number {
  let zapped = 0;
  for (let batch = collectUnsync(state, page); batch.length > 0; batch = collectUnsync(state, page))
    for (const leaf of batch) {
      zapped += prepareZap(state, leaf.page, list);
      clearPath(state, leaf);
    }
  return zapped;
}

/** Empties one entry, whatever it holds. True when something present went (the caller flushes). */
export function zapEntry(
  state: MmuState,
  page: ShadowPage,
  sptep: Sptep,
  reason: DropReason,
): boolean {
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  if (!state.format.isPresent(lo, hi)) {
    if (state.format.isMmio(lo, hi)) clearSpte(state, sptep);
    return false;
  }
  if (isLeaf(lo, page.level)) dropSpte(state, sptep, reason);
  else {
    unlinkChild(state, childOf(state, lo, hi), sptep);
    announceDrop(state, sptep, lo, hi, reason);
  }
  return true;
}

/** Flushes all TLBs, then frees the pages: nobody can be using one any more. */
export function commitZap(state: MmuState, list: InvalidList): void {
  if (list.length === 0) return;
  reachPoint(state, "Z1");
  state.flushRemoteTlbs("shadow pages zapped");
  reachPoint(state, "Z2");
  for (const page of list) state.grace.retire(() => state.release(page));
  list.length = 0;
}

/** Commits, or at least flushes when `flush`. */
export function flushOrZap(state: MmuState, list: InvalidList, flush: boolean, why: string): void {
  if (list.length > 0) commitZap(state, list);
  else if (flush) state.flushRemoteTlbs(why);
}

/** Zaps pages nobody has loaded as a root, oldest first, until `wanted` are gone or none is left. */
export function zapOldest(state: MmuState, wanted: number): number {
  const list: InvalidList = [];
  let zapped = 0;
  let page = state.active.tail;
  while (page && zapped < wanted) {
    if (page.rootCount > 0) page = page.newer;
    else {
      const count = prepareZap(state, page, list);
      zapped += count;
      // Descendants went as well, the next in line perhaps among them: start at the tail again.
      page = state.active.tail;
    }
  }
  commitZap(state, list);
  return zapped;
}

/** Takes every page down, because a slot went. */
export function invalidateAll(state: MmuState): void {
  if (state.profile.invalidation === "generation") zapAllFast(state);
  else zapAll(state);
}

/**
 * Page by page with the lock held all the time (kvm_mmu_zap_all): for the exit of the process, and in
 * older kernels whenever a slot goes.
 */
export function zapAll(state: MmuState): void {
  const list: InvalidList = [];
  for (let page = state.active.tail; page; page = state.active.tail) prepareZap(state, page, list);
  commitZap(state, list);
  state.requestAll("freeObsoleteRoots");
  if (!state.tdpMmu) return;
  tdpZapAll(state);
  state.flushRemoteTlbs("the process exits");
}

/** Makes every page obsolete in one step, then takes them down: what a deleted or moved slot needs. */
function zapAllFast(state: MmuState): void {
  if (state.trace.wants("kvm_mmu_zap_all_fast"))
    state.trace.emit("kvm_mmu_zap_all_fast", {
      gen: state.mmuValidGen,
      used_pages: state.usedPages,
    });
  state.mmuValidGen ^= 1;
  if (state.tdpMmu) invalidateTdpRoots(state);
  state.requestAll("freeObsoleteRoots");
  // The request takes vCPUs out of the guest, and what their processors logged belongs to the slot that goes.
  syncHardwareLogs(state);
  zapObsolete(state);
  if (state.tdpMmu) zapInvalidatedRoots(state);
}

/** Obsolete pages are all older than current ones, so they lie at the tail. */
function zapObsolete(state: MmuState): void {
  const list: InvalidList = [];
  let batch = 0;
  for (let page = state.active.tail; page && state.isObsolete(page); page = state.active.tail) {
    batch += prepareZap(state, page, list);
    if (batch < ZAP_BATCH) continue;
    batch = 0;
    commitZap(state, list);
  }
  commitZap(state, list);
}
