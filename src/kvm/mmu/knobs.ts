/** Module parameters of kvm, fixed when the VM is made. */
export interface MmuKnobs {
  /**
   * `eager_page_split`: when a slot begins to log, its huge sptes are split at once instead of by the
   * writes that meet them. Kernels heed it in the TDP MMU only; said explicitly, it holds here for
   * every engine.
   */
  readonly eagerPageSplit: boolean;
}

export const DEFAULT_KNOBS: MmuKnobs = { eagerPageSplit: false };
