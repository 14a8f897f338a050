/** Which of the paging modes of SDM 3A 4.1.1 is in force. */
export type PagingMode = "none" | "32-bit" | "PAE" | "4-level" | "5-level";
/** What tables are made of; NPT's are those of a paging mode. */
export type FormatMode = PagingMode | "EPT";

/**
 * A paging format as data (SDM 3A 4.3, 4.4, 4.5; EPT: 3C 28.3). Arrays are indexed by level; level 1 is the table
 * whose entries always map 4 KiB pages, index 0 is unused.
 */
export interface Format {
  readonly mode: FormatMode;
  /** Level of the root table; 0 = no paging. */
  readonly levels: number;
  readonly entryBytes: 4 | 8;
  /** Lowest bit of the linear address that selects the entry. */
  readonly shift: readonly number[];
  readonly indexMask: number;
  /** True where bit 7 (PS) makes the entry map a page. */
  readonly large: readonly boolean[];
  /** 4 KiB pages below one entry. */
  readonly pages: readonly number[];
  /** The root level is four registers, loaded by MOV CR3 and not re-read (SDM 3A 4.4.1). */
  readonly rootInRegisters: boolean;
  /** Bits 62:59 of a leaf are a protection key when CR4.PKE = 1 (SDM 3A 4.6.2). */
  readonly protectionKeys: boolean;
  /** Bits of the low half of an entry: one of them makes it present. */
  readonly present: number;
  /** Bits of the low half that a walk sets; 0 when it sets none (EPT without A/D flags). */
  readonly accessed: number;
  readonly dirty: number;
  /** Entries have EPT's rights and memory types (SDM 3C 28.3.2). */
  readonly ept: boolean;
}

const flags = { present: 0x1, accessed: 0x20, dirty: 0x40, ept: false } as const;
const wide = {
  ...flags,
  entryBytes: 8,
  shift: [0, 12, 21, 30, 39, 48],
  indexMask: 511,
  pages: [1, 1, 512, 512 ** 2, 512 ** 3, 512 ** 4],
} as const;

const fourLevel: Format = {
  ...wide,
  mode: "4-level",
  levels: 4,
  large: [false, false, true, true, false],
  rootInRegisters: false,
  protectionKeys: true,
};
const fiveLevel: Format = {
  ...fourLevel,
  mode: "5-level",
  levels: 5,
  large: [false, false, true, true, false, false],
};
const pae: Format = {
  ...wide,
  mode: "PAE",
  levels: 3,
  large: [false, false, true, false],
  rootInRegisters: true,
  protectionKeys: false,
};
const twoLevel: Format = {
  ...flags,
  mode: "32-bit",
  levels: 2,
  entryBytes: 4,
  shift: [0, 12, 22],
  indexMask: 1023,
  large: [false, false, false],
  pages: [1, 1, 1024],
  rootInRegisters: false,
  protectionKeys: false,
};
const twoLevelPse: Format = { ...twoLevel, large: [false, false, true] };
const nonpaging: Format = { ...twoLevel, mode: "none", levels: 0 };

/** IA-32e paging. Whether 1 GiB pages exist is a matter of reserved bits, not of the format. */
export const longFormat = (levels: 4 | 5): Format => (levels === 4 ? fourLevel : fiveLevel);
export const paeFormat = (): Format => pae;
/** 32-bit paging; with CR4.PSE = 0 bit 7 of a PDE is ignored. */
export const twoLevelFormat = (pse: boolean): Format => (pse ? twoLevelPse : twoLevel);
export const nonpagingFormat = (): Format => nonpaging;

/** EPT with 4 or 5 levels; `accessedDirty` is bit 6 of the EPTP. Page sizes are a matter of reserved bits. */
export const eptFormat = (levels: 4 | 5, accessedDirty: boolean): Format => ({
  ...longFormat(levels),
  mode: "EPT",
  protectionKeys: false,
  present: 0x7,
  accessed: accessedDirty ? 0x100 : 0,
  dirty: accessedDirty ? 0x200 : 0,
  ept: true,
});

/** Number of entries in one table of this format. */
export const entriesPerTable = (format: Format): number => format.indexMask + 1;

/** Index of the entry that translates the linear address `hi:lo` at this level. */
export function entryIndex(format: Format, level: number, lo: number, hi: number): number {
  const shift = format.shift[level] ?? 0;
  if (shift >= 32) return (hi >>> (shift - 32)) & format.indexMask;
  // Only 30 + 9 bits reach into the upper half; for 22 + 10 the mask cuts nothing off.
  const low = lo >>> shift;
  return (shift === 30 ? low | (hi << 2) : low) & format.indexMask;
}

/**
 * True when bits 63 … N-1 of `va` are equal, N the width of a linear address (SDM 1 3.3.7.1). The
 * processor checks this before any walk; without it an access ends in #GP or #SS, not #PF.
 */
export function isCanonical(va: bigint, levels: number): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(levels === 5 ? 57 : 48, va)) === BigInt.asUintN(64, va);
}
