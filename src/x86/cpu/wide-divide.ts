import { S } from "./layout";

/**
 * 128 by 64 division for DIV and IDIV r/m64: low, high and divisor in `S.scratch`, quotient and remainder
 * left there. 1 = #DE (SDM 2A DIV).
 */
export function divide128(view: DataView, signed: boolean): number {
  const read = (n: number): bigint => view.getBigUint64(S.scratch + 8 * n, true);
  const wide = (read(1) << 64n) | read(0);
  const dividend = signed ? BigInt.asIntN(128, wide) : wide;
  const divisor = signed ? BigInt.asIntN(64, read(2)) : read(2);
  const quotient = dividend / divisor;
  const fits = signed ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient);
  if (quotient !== fits) return 1;
  view.setBigUint64(S.scratch, BigInt.asUintN(64, quotient), true);
  view.setBigUint64(S.scratch + 8, BigInt.asUintN(64, dividend % divisor), true);
  return 0;
}
