/** What a guest walk prints: its start, then the entries from the top level down to the last one read. */
export const walkLines = (start: string, ...entries: readonly number[]): string[] => [
  `kvm_mmu_pagetable_walk: ${start}`,
  ...entries.map((pte, i) => `kvm_mmu_paging_element: pte ${pte.toString(16)} level ${4 - i}`),
];
