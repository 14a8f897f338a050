import type { MmuKnobs } from "../../../src/kvm/mmu/knobs";

/** Paging modes of a guest (SDM 3A 4.1.1); "none" is a guest that does not page. */
export const MODES = ["none", "32-bit", "PAE", "4-level", "5-level"] as const;
export type Mode = (typeof MODES)[number];

/** How the product is asked to translate; "none" is the processor's own walker, without a hypervisor. */
export const ENGINES = ["none", "shadow", "ept", "npt"] as const;
export type EngineName = (typeof ENGINES)[number];

export const ERAS = ["modern", "2012", "2010"] as const;
export type Era = (typeof ERAS)[number];

/** What lies behind RAM in the host process. */
export const BACKINGS = ["anonymous", "huge", "hugetlb", "file", "private file"] as const;

/** Module parameters that are not as usual. */
export type Knobs = Partial<MmuKnobs>;

/** All that makes a fresh guest, as data: a failure prints it. */
export interface Setup {
  readonly mmu: EngineName;
  readonly era: Era;
  /** Under EPT and NPT: the TDP MMU, or shadow pages. */
  readonly tdpMmu: boolean;
  /** Whoever goes through a tree of the TDP MMU lets others in at one entry in so many; 0 = at none. */
  readonly resched: number;
  /** The mode the guest begins in. */
  readonly mode: Mode;
  /** Entries that each vCPU's TLB keeps: one number a vCPU. */
  readonly tlb: readonly number[];
  /** Limit on shadow pages. */
  readonly maxPages: number;
  readonly backing: (typeof BACKINGS)[number];
  /** MAXPHYADDR of the host. */
  readonly hostPhysicalBits: number;
  /** MAXPHYADDR of the guest. */
  readonly physicalBits: number;
  readonly gigabytePages: boolean;
  readonly pse36: boolean;
  /** The kernel maps RAM by large pages, where the mode has them. */
  readonly largeKernel: boolean;
  readonly knobs: Knobs;
}

/** A TLB that forgets nothing by itself. */
export const ENDLESS = 1_000_000;

export const PLAIN_SETUP: Setup = {
  mmu: "shadow",
  era: "modern",
  tdpMmu: true,
  resched: 0,
  mode: "4-level",
  tlb: [ENDLESS],
  maxPages: 200,
  backing: "anonymous",
  hostPhysicalBits: 46,
  physicalBits: 46,
  gigabytePages: true,
  pse36: true,
  largeKernel: false,
  knobs: {},
};
