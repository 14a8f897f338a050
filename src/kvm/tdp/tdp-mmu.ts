import type { ShadowPage } from "../mmu/shadow-page";

/**
 * What a VM keeps for its TDP MMU (kernels since 5.10): trees of direct pages that map gpa to hpa, one
 * for each role in use, without a hash and without a reverse map. A page has one parent.
 */
export class TdpMmu {
  /** `tdp_mmu_roots`, newest first: valid ones, and invalid ones until nobody holds them. */
  readonly roots: ShadowPage[] = [];
  /** Every page that is linked into a tree, and every root. */
  readonly pages = new Set<ShadowPage>();
  /** Roots that were made invalid and are still to be emptied (`tdp_mmu_scheduled_root_to_zap`). */
  readonly scheduledToZap = new Set<ShadowPage>();
  /** Roots held by somebody who goes through them at the moment, once for each reference. */
  readonly walked: ShadowPage[] = [];
  /** Asked by whoever goes through a tree: shall it let others have mmu_lock now? */
  needResched: () => boolean = () => false;

  /** `tdp_mmu_pages`: pages linked into a tree; roots do not count. */
  get linkedPages(): number {
    return this.pages.size - this.roots.length;
  }

  forget(): void {
    this.roots.length = 0;
    this.pages.clear();
    this.scheduledToZap.clear();
    this.walked.length = 0;
  }
}
