/**
 * Sptes are 8 bytes, kept and passed as two u32 halves because hot code may not make bigints. `lo` and
 * `hi` may be signed 32-bit values; compare them after `| 0` or `>>> 0` alike on both sides. What is
 * here lies alike in all formats; the rest is a matter of `SpteFormat`.
 */

/** Number of an 8-byte word of the machine's memory: `words[2 * p]` is its low half. 0 is no spte. */
export type Sptep = number;

/** W, in the low half. */
export const WRITABLE = 0x2;
/** PS, in the low half: maps a large page. */
export const LARGE = 0x80;
/** pfn bits of the high half. */
export const PFN_HI = 0xfffff;
export const PFN_HI_UNIT = 0x100000;

export const sptePfn = (lo: number, hi: number): number =>
  (hi & PFN_HI) * PFN_HI_UNIT + (lo >>> 12);
export const pfnLo = (pfn: number): number => (pfn % PFN_HI_UNIT) << 12;
export const pfnHi = (pfn: number): number => Math.floor(pfn / PFN_HI_UNIT);

/** Of a present entry. */
export const isLeaf = (lo: number, level: number): boolean => level === 1 || (lo & LARGE) !== 0;

export const spteValue = (lo: number, hi: number): bigint =>
  (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
