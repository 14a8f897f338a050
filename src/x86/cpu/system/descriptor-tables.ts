import { S, SEG } from "../layout";
import { type Attempt, isCanonicalBase } from "./attempt";
import type { SysResult } from "./context";
import {
  isPresent,
  isSystem,
  readDescriptor,
  readNonNull,
  readUpperBase,
  SYSTEM,
  toSegment,
  typeOf,
} from "./descriptor";
import { nullSegment } from "./segments";
import { isNull, selectorError, VECTOR } from "./vectors";

/** GDTR or IDTR, by the offsets of its fields. */
export const TABLE = {
  gdtr: { base: S.gdtrBase, limit: S.gdtrLimit },
  idtr: { base: S.idtrBase, limit: S.idtrLimit },
} as const;
type Table = (typeof TABLE)[keyof typeof TABLE];

/** LGDT, LIDT: `base` as wide as the operand; the 16-bit form has 24 bits (SDM 2A LGDT). */
export function loadTable(attempt: Attempt, table: Table, limit: bigint, base: bigint): SysResult {
  const { state } = attempt;
  attempt.require(state.cpl === 0, VECTOR.GP, 0);
  if (state.code64) attempt.require(isCanonicalBase(attempt.ctx, base), VECTOR.GP, 0);
  return attempt.finish(() => {
    state.setU64(table.base, base);
    state.setU32(table.limit, Number(limit & 0xffffn));
    return undefined;
  });
}

/** The base of a 16-byte descriptor must be canonical (SDM 2A LLDT, LTR). */
const requireBase = (attempt: Attempt, base: bigint, error: number): boolean =>
  attempt.require(isCanonicalBase(attempt.ctx, base), VECTOR.GP, error);

const AVAILABLE_TSS: readonly number[] = [SYSTEM.tss16, SYSTEM.tss];
const BUSY = 0x200;

/** LTR: an available TSS of the GDT becomes busy (SDM 2A LTR). */
export function loadTaskRegister(attempt: Attempt, selector: number): SysResult {
  const { state } = attempt;
  const error = selectorError(selector);
  attempt.require(state.cpl === 0, VECTOR.GP, 0);
  attempt.require(isNull(selector) || (selector & 4) === 0, VECTOR.GP, error);
  const d = readNonNull(attempt, selector);
  const available = state.longMode ? typeOf(d) === SYSTEM.tss : AVAILABLE_TSS.includes(typeOf(d));
  attempt.require(isSystem(d) && available, VECTOR.GP, error);
  attempt.require(isPresent(d), VECTOR.NP, error);
  const upper = state.longMode ? readUpperBase(attempt, selector) : 0n;
  requireBase(attempt, d.base | upper, error);
  if (!attempt.fault) attempt.writeSystem(d.at + 4n, 4, BigInt((d.high | BUSY) >>> 0));
  return attempt.finish(() => {
    const busy = { ...d, base: d.base | upper, attr: d.attr | 2 };
    state.setSegment(SEG.tr, toSegment(selector, busy));
    return undefined;
  });
}

/** LLDT: null makes the table unusable (SDM 2A LLDT). */
export function loadLocalTable(attempt: Attempt, selector: number): SysResult {
  const { state } = attempt;
  const error = selectorError(selector);
  attempt.require(state.cpl === 0, VECTOR.GP, 0);
  if (isNull(selector)) {
    return attempt.finish(() => {
      state.setSegment(SEG.ldtr, nullSegment(selector));
      return undefined;
    });
  }
  attempt.require((selector & 4) === 0, VECTOR.GP, error);
  const d = readDescriptor(attempt, selector);
  attempt.require(isSystem(d) && typeOf(d) === SYSTEM.ldt, VECTOR.GP, error);
  attempt.require(isPresent(d), VECTOR.NP, error);
  const upper = state.longMode ? readUpperBase(attempt, selector) : 0n;
  requireBase(attempt, d.base | upper, error);
  return attempt.finish(() => {
    state.setSegment(SEG.ldtr, toSegment(selector, { ...d, base: d.base | upper }));
    return undefined;
  });
}
