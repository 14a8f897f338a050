import type { GuestFault } from "../board";

/** Exception vectors (SDM 3A 6.15). */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

export const undefinedOpcode: GuestFault = { vector: VECTOR.UD };
export const generalProtection: GuestFault = { vector: VECTOR.GP, error: 0 };

/** Selector part of an error code: RPL bits off, they become EXT and IDT (SDM 3A 6.13). */
export const selectorError = (selector: number): number => selector & 0xfffc;
/** A null selector is 0…3: index 0 of the GDT, any RPL. */
export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;
