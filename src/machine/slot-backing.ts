import type { Backing } from "../host";

/** What a slot's memory is made of in the host, as a configuration names it. */
export const MEMORY_BACKINGS = ["anonymous", "thp", "hugetlb-2m", "hugetlb-1g", "file"] as const;
export type MemoryBacking = (typeof MEMORY_BACKINGS)[number];

/** A memslot as a configuration asks for it. */
export interface SlotRequest {
  readonly gpa: number;
  readonly size: number;
  readonly flags: readonly ("ro" | "log-dirty")[];
  /** What the host makes it of; the machine's own when absent. */
  readonly backing?: MemoryBacking;
}

/** Name of the host's file that a slot with backing `file` shows. */
export const slotFile = (slot: number): string => `memslot-${slot}`;

const BACKINGS: Readonly<Record<MemoryBacking, (slot: number) => Backing>> = {
  anonymous: () => ({ kind: "anonymous", writable: true }),
  thp: () => ({ kind: "anonymous", writable: true, thp: true }),
  "hugetlb-2m": () => ({ kind: "hugetlb", writable: true, level: 2 }),
  "hugetlb-1g": () => ({ kind: "hugetlb", writable: true, level: 3 }),
  file: (slot) => ({
    kind: "file",
    writable: true,
    file: slotFile(slot),
    firstPage: 0,
    shared: true,
  }),
};

export const backingOf = (name: MemoryBacking, slot: number): Backing => BACKINGS[name](slot);
