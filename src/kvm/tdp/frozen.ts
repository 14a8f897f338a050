import type { SpteFormat } from "../mmu/spte-format";

/**
 * FROZEN_SPTE (REMOVED_SPTE before 6.12): not present, and not to be touched by anybody but the one who
 * put it there. Bits above those of the empty value, in the low half.
 */
const FROZEN = 0x5a0;

export const frozenLo = (format: SpteFormat): number => format.emptyLo | FROZEN;
export const frozenHi = (format: SpteFormat): number => format.emptyHi;

export const isFrozen = (format: SpteFormat, lo: number, hi: number): boolean =>
  (lo | 0) === frozenLo(format) && hi >>> 0 === format.emptyHi;
