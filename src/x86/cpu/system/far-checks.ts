import { CR0, SEG } from "../layout";
import type { Segment } from "../state";
import { type Attempt, isCanonical } from "./attempt";
import type { SysResult, SystemContext } from "./context";
import {
  type Descriptor,
  dplOf,
  isBig,
  isCode,
  isConforming,
  isLong,
  isPresent,
  markAccessed,
  readNonNull,
} from "./descriptor";
import { checkStack, nullSegment } from "./segments";
import { isNull, selectorError, VECTOR } from "./vectors";

/** The code segment of IRET or far RET: never at an inner level (SDM 2A IRET, 2B RET). */
export function checkReturnCode(attempt: Attempt, selector: number): Descriptor {
  const { state } = attempt;
  const rpl = selector & 3;
  const error = selectorError(selector);
  const code = readNonNull(attempt, selector);
  attempt.require(isCode(code) && rpl >= state.cpl, VECTOR.GP, error);
  attempt.require(isConforming(code) ? dplOf(code) <= rpl : dplOf(code) === rpl, VECTOR.GP, error);
  if (state.longMode) attempt.require(!(isLong(code) && isBig(code)), VECTOR.GP, error);
  attempt.require(isPresent(code), VECTOR.NP, error);
  markAccessed(attempt, code);
  return code;
}

/** The outer stack's segment: null only for 64-bit code at levels 0…2. */
export function returnStackSegment(
  attempt: Attempt,
  selector: number,
  cpl: number,
  cs: Segment,
): Segment {
  if (isNull(selector)) {
    const allowed = attempt.state.longMode && isLong(cs) && cpl !== 3 && (selector & 3) === cpl;
    attempt.require(allowed, VECTOR.GP, 0);
    return nullSegment(selector, cpl);
  }
  return checkStack(attempt, selector, cpl, { vector: VECTOR.GP, ext: 0 });
}

/** The target of a far transfer: canonical in 64-bit code, else inside the segment's limit. */
export function checkTarget(attempt: Attempt, cs: Segment, ip: bigint, ext = 0): void {
  const { state } = attempt;
  const is64 = state.longMode && (state.cr0 & CR0.PE) !== 0n && isLong(cs);
  attempt.require(is64 ? isCanonical(state, ip) : ip <= BigInt(cs.hi), VECTOR.GP, ext);
}

/** The end of every far transfer. */
export function enterCode(ctx: SystemContext, cs: Segment, ip: bigint): SysResult {
  ctx.state.setSegment(SEG.cs, cs);
  ctx.state.rip = ip;
  ctx.stateChanged();
  return { kind: "jumped" };
}
