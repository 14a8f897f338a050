import type { Era } from "../profile";
import { SPTE_BIT_TABLES, type SpteBit } from "./spte-bits";

/** The hardware that reads the sptes: its own page tables (also NPT), or EPT. */
export type SpteHardware = "x86" | "ept";

/** How an spte is laid out, in bit numbers: `makeFormat` turns them into masks. */
export interface SpteLayout {
  readonly hardware: SpteHardware;
  readonly era: Era;
  /** MAXPHYADDR of the host. */
  readonly physicalBits: number;
  readonly bits: readonly SpteBit[];
  /** One of them set: shadow-present, unless the mmio mark is there. */
  readonly shadowPresent: readonly number[];
  /** Set in every present leaf, rights aside. */
  readonly leaf: readonly number[];
  /** A pointer to a shadow page: permissions wide open (mmu.rst). */
  readonly nonleaf: readonly number[];
  /** Grants user access; for EPT, reads. */
  readonly user: readonly number[];
  readonly exec: readonly number[];
  readonly nx: readonly number[];
  readonly accessed: readonly number[];
  readonly dirty: readonly number[];
  readonly hostWritable: readonly number[];
  readonly mmuWritable: readonly number[];
  /** Memory type of RAM in a leaf. */
  readonly ramType: readonly number[];
  /** The value of an entry that stands for nothing. */
  readonly empty: readonly number[];
  readonly mmio: MmioLayout | undefined;
  /** KVM sets D itself in a writable spte. */
  readonly setsDirty: boolean;
  /** Losing this one takes a flush: modern kernels watch MMU-writable, older ones W. */
  readonly flushOn: "mmuWritable" | "writable";
  /** Entries the fast path may write: read-only ones, or any that both software bits allow. */
  readonly fastPath: "read-only" | "any";
  /** An entry whose A bit is clear counts as volatile. */
  readonly volatileUntilAccessed: boolean;
}

/** The mark of an entry whose gfn has no memory. */
export interface MmioLayout {
  /** Entries with these bits equal to `value` are marked. */
  readonly mask: readonly number[];
  readonly value: readonly number[];
  /** Access bits kept in bits 2:1. */
  readonly keepsAccess: boolean;
  /** Bits of the slots generation kept in bits 10:3 and 62:52; 0 = none. */
  readonly generationBits: 0 | 19;
}

const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

const x86 = {
  hardware: "x86",
  user: [2],
  exec: [],
  nx: [63],
  accessed: [5],
  dirty: [6],
  ramType: [],
} as const;
const ept = { hardware: "ept", exec: [2], nx: [], ramType: [4, 5, 6] } as const;

const modern = {
  era: "modern",
  shadowPresent: [11],
  empty: [63],
  setsDirty: true,
  flushOn: "mmuWritable",
  fastPath: "read-only",
  volatileUntilAccessed: false,
} as const;
const old = {
  shadowPresent: [0],
  leaf: [0],
  empty: [],
  setsDirty: false,
  flushOn: "writable",
  fastPath: "any",
  volatileUntilAccessed: true,
} as const;
const y2012 = { ...old, era: "2012", hostWritable: [10], mmuWritable: [11] } as const;
const y2010 = { ...old, era: "2010", hostWritable: [9], mmuWritable: [], mmio: undefined } as const;

/**
 * The layout for a host with `physicalBits` of physical address (MAXPHYADDR). An x86 mmio mark needs
 * a reserved address bit: with 52 bits of address there is none, and no mark.
 */
export function spteLayout(hardware: SpteHardware, era: Era, physicalBits: number): SpteLayout {
  return { ...layoutOf(hardware, era, physicalBits), physicalBits };
}

function layoutOf(
  hardware: SpteHardware,
  era: Era,
  physicalBits: number,
): Omit<SpteLayout, "physicalBits"> {
  const reserved = physicalBits < 52;
  const bits = SPTE_BIT_TABLES[hardware][era];
  if (hardware === "x86") {
    const nonleaf = [0, 1, 2, 5];
    switch (era) {
      case "modern":
        return {
          ...x86,
          ...modern,
          bits,
          leaf: [0, 11],
          nonleaf: [...nonleaf, 11],
          hostWritable: [9],
          mmuWritable: [10],
          mmio: reserved
            ? { mask: [0, 11, 51], value: [0, 51], keepsAccess: true, generationBits: 19 }
            : undefined,
        };
      case "2012": {
        const mark = [0, ...range(physicalBits, 62)];
        return {
          ...x86,
          ...y2012,
          bits,
          nonleaf,
          mmio: reserved
            ? { mask: mark, value: mark, keepsAccess: true, generationBits: 0 }
            : undefined,
        };
      }
      case "2010":
        return { ...x86, ...y2010, bits, nonleaf };
    }
  }
  const noAd = { user: [], accessed: [], dirty: [], nonleaf: [0, 1, 2] } as const;
  switch (era) {
    case "modern":
      return {
        ...ept,
        ...modern,
        bits,
        // Execute-only entries exist, so R is a right like any other: it stands for "user".
        user: [0],
        accessed: [8],
        dirty: [9],
        leaf: [11, 63],
        nonleaf: [0, 1, 2, 8, 11, 63],
        hostWritable: [57],
        mmuWritable: [58],
        mmio: { mask: [0, 1, 2, 11, 63], value: [1, 2], keepsAccess: false, generationBits: 19 },
      };
    case "2012": {
      const mark = [1, 2, ...range(49, 56)];
      return {
        ...ept,
        ...y2012,
        ...noAd,
        bits,
        mmio: { mask: mark, value: mark, keepsAccess: false, generationBits: 0 },
      };
    }
    case "2010":
      return { ...ept, ...y2010, ...noAd, bits };
  }
}
