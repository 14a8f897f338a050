const XWR = { write: 0b010, writeExec: 0b110, exec: 0b100 } as const;
/** Memory types that do not exist (SDM 3C 28.3.7). */
const RESERVED_TYPES: readonly number[] = [2, 3, 7];

/**
 * Values of bits 5:0 of a present entry that are a misconfiguration (SDM 3C 28.3.3.1). Pointers to
 * tables have bits 6:3 reserved anyway, so that their "memory type" needs no case of its own.
 */
export function badMtXwr(executeOnly: boolean): Uint32Array {
  const set = new Uint32Array(2);
  for (let low = 0; low < 64; low++) {
    const xwr = low & 7;
    const bad =
      xwr === XWR.write ||
      xwr === XWR.writeExec ||
      (xwr === XWR.exec && !executeOnly) ||
      (xwr !== 0 && RESERVED_TYPES.includes(low >>> 3));
    if (bad) set[low >>> 5]! |= 1 << (low & 31);
  }
  return set;
}

/** The set of a format that has none. */
export const NO_BAD_MT_XWR = new Uint32Array(2);

/** Bits 5:0 of this present entry are a misconfiguration. */
export const eptMisconfigured = (badMtXwr: Uint32Array, lo: number): boolean =>
  ((badMtXwr[(lo >>> 5) & 1]! >>> (lo & 31)) & 1) !== 0;
