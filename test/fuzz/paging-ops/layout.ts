/** Frames of RAM: two slots of 2 MiB, the second of which comes and goes. */
export const SLOT_PAGES = 512;
export const RAM_PAGES = 2 * SLOT_PAGES;

const run = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => first + i);

/**
 * Frames that hold random tables and data, half of them in each slot. The first of each slot can also
 * be reached inside large pages.
 */
export const POOL: readonly number[] = [
  ...[0, 1, 5],
  ...run(16, 9),
  ...[SLOT_PAGES, SLOT_PAGES + 1],
  ...run(SLOT_PAGES + 16, 10),
];
/**
 * Frames that entries map and that the kernel never looks at: no spte but those of user addresses leads
 * to them. They lie together, as a hypervisor also maps what is near.
 */
export const DATA: readonly number[] = [...run(0x40, 8), ...run(SLOT_PAGES + 0x40, 8)];
/** CR3 is one of these. */
export const ROOTS: readonly number[] = [16, 17, SLOT_PAGES + 16];
/** The kernel's tables: outside the pool, and not at the places that addresses in large pages reach. */
export const KERNEL_TABLES: readonly number[] = run(0x80, 13);
/** Frames that no slot has: just behind RAM, in the PCI hole, far above. */
export const HOLES: readonly number[] = [0x900, 0xd0000, 0x100000];
