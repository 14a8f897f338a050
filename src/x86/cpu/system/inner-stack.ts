import { SEG } from "../layout";
import type { Segment } from "../state";
import { type Attempt, isCanonical } from "./attempt";
import { SYSTEM, typeOf } from "./descriptor";
import { checkStack } from "./segments";
import { Stack, stackWidth } from "./stack";
import { isNull, selectorError, VECTOR } from "./vectors";

/** The stack a more privileged level starts on, and what SS will hold. */
export interface InnerStack {
  readonly ss: Segment;
  readonly stack: Stack;
}

/** SSn:ESPn of a 16- or 32-bit TSS (SDM 3A 5.8.5). Everything wrong with it is #TS, absence #SS. */
export function tssStack(attempt: Attempt, cpl: number, ext: number): InnerStack {
  const { state } = attempt;
  const tr = state.segment(SEG.tr);
  const is16 = (typeOf(tr) & 0x8) === 0;
  const offset = is16 ? 2 + 4 * cpl : 4 + 8 * cpl;
  const last = offset + (is16 ? 3 : 5);
  attempt.require(!tr.unusable && last <= tr.hi, VECTOR.TS, selectorError(tr.selector) | ext);
  const at = tr.base + BigInt(offset);
  const sp = attempt.readSystem(at, is16 ? 2 : 4, ext);
  const selector = Number(attempt.readSystem(at + (is16 ? 2n : 4n), 2, ext));
  attempt.require(!isNull(selector), VECTOR.TS, ext);
  const ss = checkStack(attempt, selector, cpl, { vector: VECTOR.TS, ext });
  const error = selectorError(selector) | ext;
  return { ss, stack: new Stack(attempt, ss, sp, stackWidth(false, ss), cpl, error) };
}

/** RSPn (`slot` 0…2) or IST1…7 (`slot` 3…9 = 2 + n) of the 64-bit TSS (SDM 3A 6.14.5, 7.7). */
export function tssPointer(attempt: Attempt, slot: number, ext: number): bigint {
  const { state } = attempt;
  const tr = state.segment(SEG.tr);
  // The reserved quadword after RSP2 lies between the two runs.
  const offset = slot <= 2 ? 4 + 8 * slot : 0x24 + 8 * (slot - 3);
  const usable = !tr.unusable && typeOf(tr) === SYSTEM.tssBusy && offset + 7 <= tr.hi;
  attempt.require(usable, VECTOR.TS, selectorError(tr.selector) | ext);
  const pointer = attempt.readSystem(tr.base + BigInt(offset), 8, ext);
  attempt.require(isCanonical(state, pointer), VECTOR.SS, ext);
  return pointer;
}

/** The stack of 64-bit code at `cpl`, from a pointer out of the TSS. */
export function longStack(attempt: Attempt, rsp: bigint, cpl: number, ext: number): Stack {
  return new Stack(attempt, attempt.state.segment(SEG.ss), rsp, 8, cpl, ext);
}
