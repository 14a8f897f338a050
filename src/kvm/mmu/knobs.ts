/** Module parameters of kvm and kvm_intel. */
export interface MmuKnobs {
  /**
   * `eager_page_split`: when a slot begins to log, its huge sptes are split at once instead of by the
   * writes that meet them. Kernels heed it in the TDP MMU only, where it is on unless said; said
   * explicitly, it holds here for every engine.
   */
  readonly eagerPageSplit: boolean;
  /** `eptad`: EPT's accessed and dirty flags are used, in eras that know them. */
  readonly eptad: boolean;
  /** `pml`: the processor logs the dirty flags it sets; needs `eptad`. */
  readonly pml: boolean;
  /** The host has 32 bits (CONFIG_X86_32): sptes are stored and read in halves. Nothing else of it is modelled. */
  readonly host32: boolean;
  /** `nx_huge_pages`: huge sptes are not executable. In the modern era only. */
  readonly nxHugePages: boolean;
  /** `nx_huge_pages_recovery_ratio`: a turn of recovery tries one in so many split pages; 0 = none. */
  readonly nxHugePagesRecoveryRatio: number;
}

export const DEFAULT_KNOBS: MmuKnobs = {
  eagerPageSplit: false,
  eptad: true,
  pml: true,
  host32: false,
  nxHugePages: false,
  nxHugePagesRecoveryRatio: 60,
};
