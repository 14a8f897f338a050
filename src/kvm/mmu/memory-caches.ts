/** Kinds of objects that a fault may have to allocate (kvm_mmu_memory_cache). */
export type CacheName = "pteListDesc" | "header" | "shadowPage" | "shadowedInfo";

/**
 * What a fault may need at most: a descriptor for the rmap, one for each of five parents and for eight
 * prefetched neighbours; a page at each of five levels.
 */
export const CACHE_MINIMUM: Readonly<Record<CacheName, number>> = {
  pteListDesc: 14,
  header: 5,
  shadowPage: 5,
  shadowedInfo: 5,
};
/** KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE: a cache that runs low is filled up to so many. */
export const CACHE_CAPACITY = 40;

export type CacheCounts = Record<CacheName, number>;

const NAMES = Object.keys(CACHE_MINIMUM) as readonly CacheName[];

/**
 * A vCPU's store of objects no larger than a page, filled where it may sleep so that nothing is
 * allocated under mmu_lock. In one thread only the counts are kept: the objects are cheap, the rule is not.
 */
export class MemoryCaches {
  readonly counts: CacheCounts = { pteListDesc: 0, header: 0, shadowPage: 0, shadowedInfo: 0 };

  /** mmu_topup_memory_caches. */
  topUp(): void {
    for (const name of NAMES)
      if (this.counts[name] < CACHE_MINIMUM[name]) this.counts[name] = CACHE_CAPACITY;
  }
  get isReady(): boolean {
    return NAMES.every((name) => this.counts[name] >= CACHE_MINIMUM[name]);
  }
  take(name: CacheName): void {
    if (this.counts[name] === 0) throw new Error(`cache ${name} ran dry under mmu_lock`);
    this.counts[name]--;
  }
}
