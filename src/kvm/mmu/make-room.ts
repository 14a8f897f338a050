import { MIN_FREE_PAGES, type MmuState } from "./state";
import { zapOldest } from "./zap";

/** KVM_REFILL_PAGES: how many pages are free after room was made. */
const REFILL_PAGES = 25;

/**
 * Sees to it that a fault can allocate what it needs, by zapping the oldest pages when fewer than
 * five are left. False when even that leaves none: every page is a root in use.
 */
export function makePagesAvailable(state: MmuState): boolean {
  const free = Math.max(0, state.maxPages - state.usedPages);
  if (free >= MIN_FREE_PAGES) return true;
  state.stats.mmu_recycled += zapOldest(state, REFILL_PAGES - free);
  return state.maxPages > state.usedPages;
}

/** Sets the limit on shadow pages; the oldest go at once when there are more (kvm_mmu_change_mmu_pages). */
export function changeMaxPages(state: MmuState, limit: number): void {
  state.maxPages = limit;
  if (state.usedPages > limit) zapOldest(state, state.usedPages - limit);
}
