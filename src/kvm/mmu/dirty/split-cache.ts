import { ENTRIES, type ShadowFrame } from "../shadow-page";

/** A chain of the reverse map needs a descriptor for its second entry and for each 14 after. */
const PER_DESCRIPTOR = 14;
/** SPLIT_DESC_CACHE_MIN_NR_OBJECTS: one for each small leaf, one for the table's parent. */
const MIN_DESCRIPTORS = ENTRIES + 1;

/**
 * What splitting a huge page allocates, put by before mmu_lock is taken (`split_desc_cache`,
 * `split_page_header_cache`, `split_shadow_page_cache`): of each at least what one page needs.
 */
export interface SplitCache {
  descriptors: number;
  headers: number;
  /** A frame for the sptes. */
  frame: ShadowFrame | undefined;
}

export const newSplitCache = (): SplitCache => ({ descriptors: 0, headers: 0, frame: undefined });

export const needsTopUp = (cache: SplitCache): boolean =>
  cache.descriptors < MIN_DESCRIPTORS || cache.headers < 1 || cache.frame === undefined;

/** False when the host has no frame to give. */
export function topUpSplitCache(
  cache: SplitCache,
  allocate: () => ShadowFrame | undefined,
): boolean {
  cache.descriptors = MIN_DESCRIPTORS;
  cache.headers = 1;
  cache.frame ??= allocate();
  return cache.frame !== undefined;
}

/** Takes the descriptor that a chain of `count` entries needs for one more. */
export function useDescriptors(cache: SplitCache, count: number): void {
  if (count === 1 || (count > 1 && count % PER_DESCRIPTOR === 0)) cache.descriptors--;
}
