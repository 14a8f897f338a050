import type { Bytes } from "../insn";
import { SEG } from "../layout";
import type { Segment } from "../state";
import { Attempt } from "./attempt";
import { callThroughGate, jumpThroughGate } from "./call-gate";
import type { SysResult, SystemContext } from "./context";
import {
  type Descriptor,
  dplOf,
  isBig,
  isCode,
  isConforming,
  isLong,
  isPresent,
  isSystem,
  markAccessed,
  readNonNull,
  toSegment,
} from "./descriptor";
import { checkReturnCode, checkTarget, enterCode, returnStackSegment } from "./far-checks";
import { dropInnerSegments, isV8086, paragraphSegment, usesParagraphs } from "./segments";
import { Stack, setStackPointer, stackWidth } from "./stack";
import { selectorError, VECTOR } from "./vectors";

export interface FarPointer {
  readonly selector: number;
  readonly offset: bigint;
}

/** Far JMP (SDM 2A JMP). The attempt may hold the accesses that fetched the pointer. */
export function farJump(attempt: Attempt, target: FarPointer): SysResult {
  const { ctx, state } = attempt;
  if (usesParagraphs(state)) {
    const cs = paragraphSegment(state.segment(SEG.cs), target.selector, isV8086(state));
    checkTarget(attempt, cs, target.offset);
    return attempt.finish(() => enterCode(ctx, cs, target.offset));
  }
  const d = readNonNull(attempt, target.selector);
  if (!attempt.fault && isSystem(d)) return jumpThroughGate(attempt, target.selector, d);
  const cs = directCode(attempt, target.selector, d);
  checkTarget(attempt, cs, target.offset);
  return attempt.finish(() => enterCode(ctx, cs, target.offset));
}

/** Far CALL (SDM 2A CALL); `size` is the operand size, of what is pushed when no gate decides. */
export function farCall(attempt: Attempt, target: FarPointer, size: Bytes): SysResult {
  const { ctx, state } = attempt;
  const paragraphs = usesParagraphs(state);
  let cs: Segment;
  if (paragraphs) {
    cs = paragraphSegment(state.segment(SEG.cs), target.selector, isV8086(state));
  } else {
    const d = readNonNull(attempt, target.selector);
    if (!attempt.fault && isSystem(d)) return callThroughGate(attempt, target.selector, d);
    cs = directCode(attempt, target.selector, d);
  }
  const stack = Stack.current(attempt);
  stack.push(BigInt(state.segment(SEG.cs).selector), size);
  stack.push(ctx.nextRip, size);
  checkTarget(attempt, cs, target.offset);
  return attempt.finish(() => {
    stack.commit(state);
    return enterCode(ctx, cs, target.offset);
  });
}

/** A code segment jumped to or called without a gate: the level stays. */
function directCode(attempt: Attempt, selector: number, d: Descriptor): Segment {
  const { state } = attempt;
  const { cpl } = state;
  const error = selectorError(selector);
  attempt.require(isCode(d), VECTOR.GP, error);
  const allowed = isConforming(d) ? dplOf(d) <= cpl : (selector & 3) <= cpl && dplOf(d) === cpl;
  attempt.require(allowed, VECTOR.GP, error);
  if (state.longMode) attempt.require(!(isLong(d) && isBig(d)), VECTOR.GP, error);
  attempt.require(isPresent(d), VECTOR.NP, error);
  markAccessed(attempt, d);
  return toSegment((selector & ~3) | cpl, d);
}

/** Far RET with `parameters` bytes dropped, from both stacks when the level changes (SDM 2B RET). */
export function farReturn(ctx: SystemContext, size: Bytes, parameters: number): SysResult {
  const attempt = new Attempt(ctx);
  const { state } = ctx;
  const { cpl } = state;
  const stack = Stack.current(attempt);
  const ip = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  if (usesParagraphs(state)) {
    const cs = paragraphSegment(state.segment(SEG.cs), selector, isV8086(state));
    checkTarget(attempt, cs, ip);
    stack.skip(parameters);
    return attempt.finish(() => {
      stack.commit(state);
      return enterCode(ctx, cs, ip);
    });
  }
  const cs = toSegment(selector, checkReturnCode(attempt, selector));
  const outerCpl = selector & 3;
  stack.skip(parameters);
  if (outerCpl === cpl) {
    checkTarget(attempt, cs, ip);
    return attempt.finish(() => {
      stack.commit(state);
      return enterCode(ctx, cs, ip);
    });
  }
  const sp = stack.pop(size);
  const ss = returnStackSegment(attempt, Number(stack.pop(size) & 0xffffn), outerCpl, cs);
  checkTarget(attempt, cs, ip);
  return attempt.finish(() => {
    state.setSegment(SEG.ss, ss);
    stack.commit(state);
    const width = stackWidth(state.longMode && isLong(cs), ss);
    setStackPointer(state, width, sp + BigInt(parameters));
    dropInnerSegments(state, outerCpl);
    return enterCode(ctx, cs, ip);
  });
}
