import type { CacheName, MemoryCaches } from "./memory-caches";

/**
 * mmu_lock, as far as one thread needs it: who is inside may not sleep, that is wait for a host page,
 * and takes objects from caches that were filled before (locking.rst). A breach is a bug of ours.
 */
export class MmuLock {
  private caches: MemoryCaches | undefined;

  /** Taken by a vCPU that is handling a fault or building a root, its caches filled. */
  take(caches: MemoryCaches): void {
    if (!caches.isReady)
      throw new Error("mmu_lock taken with caches that are not filled (INV-V-03)");
    this.caches = caches;
  }
  give(): void {
    this.caches = undefined;
  }
  get held(): boolean {
    return this.caches !== undefined;
  }

  /** Called wherever a host page may have to be waited for. */
  assertMaySleep(): void {
    if (this.caches) throw new Error("sleep under mmu_lock");
  }
  /** An object is needed: inside, from the cache; outside whoever needs it may allocate. */
  use(name: CacheName): void {
    this.caches?.take(name);
  }

  /** Runs other actors at a named point, for whom the lock is free. */
  letOthersRun(others: () => void): void {
    const { caches } = this;
    this.caches = undefined;
    others();
    this.caches = caches;
  }
}
