/** Counters of a VM, named as in KVM's debugfs. `mmu_unsync` and `pages_*` are gauges. */
export interface VmStats {
  mmu_shadow_zapped: number;
  mmu_pte_write: number;
  mmu_pde_zapped: number;
  mmu_flooded: number;
  mmu_recycled: number;
  mmu_cache_miss: number;
  mmu_unsync: number;
  pages_4k: number;
  pages_2m: number;
  pages_1g: number;
  /** A gauge as well. */
  nx_lpage_splits: number;
  max_mmu_rmap_size: number;
  max_mmu_page_hash_collisions: number;
  remote_tlb_flush: number;
  remote_tlb_flush_requests: number;
}

/** Counters of a vCPU. `pf_taken` = `pf_fixed` + `pf_emulate` + `pf_spurious` + `pf_retry` + `pf_guest`. */
export interface VcpuStats {
  exits: number;
  pf_taken: number;
  pf_fixed: number;
  pf_emulate: number;
  pf_spurious: number;
  /** Tried again without a change; kernels do not count it. */
  pf_retry: number;
  pf_fast: number;
  pf_mmio_spte_created: number;
  pf_guest: number;
  tlb_flush: number;
  invlpg: number;
  mmio_exits: number;
  insn_emulation: number;
  insn_emulation_fail: number;
}

export const newVmStats = (): VmStats => ({
  mmu_shadow_zapped: 0,
  mmu_pte_write: 0,
  mmu_pde_zapped: 0,
  mmu_flooded: 0,
  mmu_recycled: 0,
  mmu_cache_miss: 0,
  mmu_unsync: 0,
  pages_4k: 0,
  pages_2m: 0,
  pages_1g: 0,
  nx_lpage_splits: 0,
  max_mmu_rmap_size: 0,
  max_mmu_page_hash_collisions: 0,
  remote_tlb_flush: 0,
  remote_tlb_flush_requests: 0,
});

export const newVcpuStats = (): VcpuStats => ({
  exits: 0,
  pf_taken: 0,
  pf_fixed: 0,
  pf_emulate: 0,
  pf_spurious: 0,
  pf_retry: 0,
  pf_fast: 0,
  pf_mmio_spte_created: 0,
  pf_guest: 0,
  tlb_flush: 0,
  invlpg: 0,
  mmio_exits: 0,
  insn_emulation: 0,
  insn_emulation_fail: 0,
});

/** Name of the gauge of leaves of each level. */
export const PAGES_STAT = ["", "pages_4k", "pages_2m", "pages_1g"] as const;
