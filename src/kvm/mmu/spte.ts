/**
 * The x86 spte format of modern kernels (also NPT): 8 bytes, kept and passed as two u32 halves
 * because hot code may not make bigints. `lo` and `hi` may be signed 32-bit values; compare them
 * after `| 0` or `>>> 0` alike on both sides.
 */

/** Number of an 8-byte word of the machine's memory: `words[2 * p]` is its low half. 0 is no spte. */
export type Sptep = number;

/** One bit of an spte. */
export interface SpteBit {
  readonly bit: number;
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly on: string;
  readonly off: string;
  /** Levels at which it means this: all, leaves only, or large leaves only. */
  readonly where: "all" | "leaf" | "large";
}

export const SPTE_BITS: readonly SpteBit[] = [
  {
    bit: 0,
    id: "p",
    name: "present",
    source: "SDM 3A 4.5",
    on: "present to the hardware",
    off: "not present",
    where: "all",
  },
  {
    bit: 1,
    id: "w",
    name: "writable",
    source: "SDM 3A 4.5",
    on: "writes allowed",
    off: "read-only",
    where: "all",
  },
  {
    bit: 2,
    id: "u",
    name: "user",
    source: "SDM 3A 4.5",
    on: "user mode allowed",
    off: "supervisor only",
    where: "all",
  },
  {
    bit: 5,
    id: "a",
    name: "accessed",
    source: "SDM 3A 4.8",
    on: "used",
    off: "not used since made",
    where: "all",
  },
  {
    bit: 6,
    id: "d",
    name: "dirty",
    source: "SDM 3A 4.8",
    on: "written",
    off: "not written",
    where: "leaf",
  },
  {
    bit: 7,
    id: "ps",
    name: "large page",
    source: "SDM 3A 4.5",
    on: "maps a large page",
    off: "points to a table",
    where: "large",
  },
  {
    bit: 9,
    id: "host-w",
    name: "host-writable",
    source: "KVM software bit",
    on: "the host page may be written",
    off: "read-only in the host",
    where: "leaf",
  },
  {
    bit: 10,
    id: "mmu-w",
    name: "MMU-writable",
    source: "KVM software bit",
    on: "neither the gpte nor shadowing forbids writes",
    off: "the gpte or shadowing forbids writes",
    where: "leaf",
  },
  {
    bit: 11,
    id: "mmu-p",
    name: "MMU-present",
    source: "KVM software bit",
    on: "a shadow-present spte",
    off: "empty or mmio",
    where: "all",
  },
  {
    bit: 63,
    id: "nx",
    name: "no-execute",
    source: "SDM 3A 4.6",
    on: "no instruction fetches",
    off: "fetches allowed",
    where: "all",
  },
];

/** Masks over the low half. */
export const LO = {
  present: 0x1,
  writable: 0x2,
  user: 0x4,
  accessed: 0x20,
  dirty: 0x40,
  large: 0x80,
  hostWritable: 0x200,
  mmuWritable: 0x400,
  mmuPresent: 0x800,
} as const;
/** Masks over the high half. */
export const HI = { nx: 0x80000000, pfn: 0xfffff, mmio: 0x80000 } as const;

/** SHADOW_NONPRESENT_VALUE: bit 63 alone (6.10 and later, 64-bit hosts). */
export const EMPTY_LO = 0;
export const EMPTY_HI = 0x80000000;

const PFN_HI_UNIT = 0x100000;

export const sptePfn = (lo: number, hi: number): number =>
  (hi & HI.pfn) * PFN_HI_UNIT + (lo >>> 12);
export const pfnLo = (pfn: number): number => (pfn % PFN_HI_UNIT) << 12;
export const pfnHi = (pfn: number): number => Math.floor(pfn / PFN_HI_UNIT);

/** The software present test: an mmio spte has P set for the hardware but is not shadow-present. */
export const isPresent = (lo: number): boolean => (lo & LO.mmuPresent) !== 0;
export const isLeaf = (lo: number, level: number): boolean => level === 1 || (lo & LO.large) !== 0;
export const isMmio = (lo: number, hi: number): boolean =>
  (hi & HI.mmio) !== 0 && (lo & (LO.mmuPresent | LO.present)) === LO.present;
export const isEmpty = (lo: number, hi: number): boolean => lo === 0 && hi >>> 0 === EMPTY_HI;

/**
 * May change without mmu_lock: the fast path may set W, or the hardware D (a lost D is lost data).
 * Such an entry is only ever exchanged, never plainly stored.
 */
export const isVolatile = (lo: number): boolean =>
  isPresent(lo) &&
  ((lo & (LO.writable | LO.mmuWritable)) === LO.mmuWritable ||
    (lo & (LO.writable | LO.dirty)) === LO.writable);

/** Low half of an entry that points to a shadow page: permissions wide open (mmu.rst). */
export const NONLEAF_LO = LO.present | LO.writable | LO.user | LO.accessed | LO.mmuPresent;

/** Bits of the generation that an mmio spte keeps. */
const MMIO_GENERATION_BITS = 19;
const MMIO_GENERATION_MASK = 2 ** MMIO_GENERATION_BITS - 1;

/** Low half of an mmio spte: P and bit 51 make the hardware report RSVD; access W|U, generation 7:0 at bit 3. */
export const mmioLo = (gfn: number, access: number, generation: number): number =>
  pfnLo(gfn) | ((generation & 0xff) << 3) | (access & 6) | LO.present;
export const mmioHi = (gfn: number, generation: number): number =>
  ((((generation & MMIO_GENERATION_MASK) >>> 8) << 20) | HI.mmio | pfnHi(gfn)) >>> 0;
export const mmioGeneration = (lo: number, hi: number): number =>
  ((hi >>> 20) << 8) | ((lo >>> 3) & 0xff);
export const mmioGfn = (lo: number, hi: number): number =>
  (hi & (HI.mmio - 1)) * PFN_HI_UNIT + (lo >>> 12);
export const mmioAccess = (lo: number): number => lo & 6;
/** The part of a slots generation that an mmio spte can hold. */
export const storedGeneration = (generation: number): number =>
  generation % 2 ** MMIO_GENERATION_BITS;

export const spteValue = (lo: number, hi: number): bigint =>
  (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** `rwxu` text of the kvm_mmu_set_spte tracepoint. */
export const spteAccessText = (spte: bigint): string =>
  `${spte & 1n ? "r" : "-"}${spte & 2n ? "w" : "-"}${spte >> 63n ? "-" : "x"}${spte & 4n ? "u" : "-"}`;

/** Ids of the bits that are set, in the order of the table: `p u a host-w mmu-p`. */
export function spteFlags(spte: bigint, level: number): readonly string[] {
  const leaf = level === 1 || (spte & 0x80n) !== 0n;
  const applies = (row: SpteBit): boolean =>
    row.where === "all" || (row.where === "leaf" ? leaf : leaf && level > 1);
  return SPTE_BITS.filter((row) => applies(row) && (spte >> BigInt(row.bit)) & 1n).map((r) => r.id);
}
