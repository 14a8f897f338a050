import { pagesPerLevel } from "../../x86";
import type { Fault } from "./fault-state";
import type { ShadowPage } from "./shadow-page";
import type { MmuState } from "./state";

/*
 * The workaround for instruction fetches that meet a page of two sizes at once (iTLB multihit): while
 * `nx_huge_pages` is on, no huge leaf is executable, and a fetch brings 4K leaves in its place.
 */

/**
 * A page was made because a fetch may not be served by a huge leaf. `possible`: but for the fetch a huge
 * leaf could have stood here, so one day it may be tried again.
 */
export function accountNxHugePage(state: MmuState, page: ShadowPage, possible: boolean): void {
  page.nxHugePageDisallowed = true;
  if (!possible || state.possibleNxHugePages.has(page)) return;
  state.stats.nx_lpage_splits++;
  state.possibleNxHugePages.add(page);
}

export function unaccountNxHugePage(state: MmuState, page: ShadowPage): void {
  page.nxHugePageDisallowed = false;
  if (state.possibleNxHugePages.delete(page)) state.stats.nx_lpage_splits--;
}

/**
 * A huge leaf may not replace the 4K leaves that a fetch has brought, as one of them may be executable:
 * the goal goes down a level, and the pfn takes the next 9 bits of the gfn back. `child` is what the
 * entry at `level` points at.
 */
export function lowerDisallowedGoal(
  fault: Fault,
  level: number,
  child: ShadowPage | undefined,
): void {
  if (level === 1 || level !== fault.goalLevel || !child?.nxHugePageDisallowed) return;
  fault.goalLevel--;
  fault.pfn += (fault.gfn % pagesPerLevel(level)) - (fault.gfn % pagesPerLevel(level - 1));
}
