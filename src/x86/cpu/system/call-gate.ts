import { GPR, SEG } from "../layout";
import type { Attempt } from "./attempt";
import type { SysResult } from "./context";
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
  readUpperBase,
  SYSTEM,
  toSegment,
  typeOf,
} from "./descriptor";
import { checkTarget, enterCode } from "./far-checks";
import { longStack, tssPointer, tssStack } from "./inner-stack";
import { nullSegment } from "./segments";
import { Stack } from "./stack";
import { farTask } from "./task-switch";
import { selectorError, VECTOR } from "./vectors";

/** A call gate (SDM 3A 5.8.3, 5.8.3.1). `size`: bytes of what it pushes. */
interface CallGate {
  readonly size: 2 | 4 | 8;
  readonly selector: number;
  readonly offset: bigint;
  /** Parameters copied to the inner stack, in units of `size`; none in long mode. */
  readonly parameters: number;
}

const TASK_TYPES: readonly number[] = [SYSTEM.tss16, SYSTEM.tss, SYSTEM.taskGate];
const GATE_TYPES: readonly number[] = [SYSTEM.callGate16, SYSTEM.callGate];

/** Does the selector name a task, by its TSS or by a gate? There are none in long mode. */
const isTask = ({ state }: Attempt, d: Descriptor): boolean =>
  !state.longMode && TASK_TYPES.includes(typeOf(d));

function readCallGate(attempt: Attempt, selector: number, d: Descriptor): CallGate {
  const { state } = attempt;
  const { cpl, longMode } = state;
  const error = selectorError(selector);
  const type = typeOf(d);
  const known = longMode ? type === SYSTEM.callGate : GATE_TYPES.includes(type);
  attempt.require(known, VECTOR.GP, error);
  attempt.require(dplOf(d) >= Math.max(cpl, selector & 3), VECTOR.GP, error);
  const upper = longMode ? readUpperBase(attempt, selector) : 0n;
  attempt.require(isPresent(d), VECTOR.NP, error);

  const raw = attempt.readSystem(d.at, 8);
  const offset = (raw & 0xffffn) | ((raw >> 32n) & 0xffff0000n) | upper;
  return {
    size: longMode ? 8 : type === SYSTEM.callGate ? 4 : 2,
    selector: Number((raw >> 16n) & 0xffffn),
    offset: type === SYSTEM.callGate16 ? offset & 0xffffn : offset,
    parameters: longMode ? 0 : d.high & 0x1f,
  };
}

function gateCode(attempt: Attempt, gate: CallGate): Descriptor {
  const { state } = attempt;
  const error = selectorError(gate.selector);
  const code = readNonNull(attempt, gate.selector);
  attempt.require(isCode(code) && dplOf(code) <= state.cpl, VECTOR.GP, error);
  if (state.longMode) attempt.require(isLong(code) && !isBig(code), VECTOR.GP, error);
  return code;
}

/** JMP to what is no code segment: a task, or a call gate, which does not change the level. */
export function jumpThroughGate(attempt: Attempt, selector: number, d: Descriptor): SysResult {
  const { ctx, state } = attempt;
  if (isTask(attempt, d)) return farTask(attempt, selector, d, "jump");
  const gate = readCallGate(attempt, selector, d);
  const error = selectorError(gate.selector);
  const code = gateCode(attempt, gate);
  attempt.require(isConforming(code) || dplOf(code) === state.cpl, VECTOR.GP, error);
  attempt.require(isPresent(code), VECTOR.NP, error);
  markAccessed(attempt, code);
  const cs = toSegment((gate.selector & ~3) | state.cpl, code);
  checkTarget(attempt, cs, gate.offset);
  return attempt.finish(() => enterCode(ctx, cs, gate.offset));
}

/** CALL of the same: through a gate, non-conforming code at an inner level brings its own stack. */
export function callThroughGate(attempt: Attempt, selector: number, d: Descriptor): SysResult {
  const { ctx, state } = attempt;
  if (isTask(attempt, d)) return farTask(attempt, selector, d, "call");
  const gate = readCallGate(attempt, selector, d);
  const code = gateCode(attempt, gate);
  attempt.require(isPresent(code), VECTOR.NP, selectorError(gate.selector));
  markAccessed(attempt, code);
  const cpl = isConforming(code) ? state.cpl : dplOf(code);
  const cs = toSegment((gate.selector & ~3) | cpl, code);
  const inner = cpl === state.cpl ? undefined : innerStack(attempt, gate, cpl);
  const stack = inner?.stack ?? Stack.current(attempt);
  stack.push(BigInt(state.segment(SEG.cs).selector), gate.size);
  stack.push(ctx.nextRip, gate.size);
  checkTarget(attempt, cs, gate.offset);
  return attempt.finish(() => {
    if (inner) state.setSegment(SEG.ss, inner.ss);
    stack.commit(state);
    return enterCode(ctx, cs, gate.offset);
  });
}

/** The inner stack with the old SS:rSP and the copied parameters on it (SDM 3A 5.8.5). */
function innerStack(attempt: Attempt, gate: CallGate, cpl: number) {
  const { state } = attempt;
  const inner =
    gate.size === 8
      ? {
          ss: nullSegment(cpl, cpl),
          stack: longStack(attempt, tssPointer(attempt, cpl, 0), cpl, 0),
        }
      : tssStack(attempt, cpl, 0);
  const { stack } = inner;
  const outer = Stack.current(attempt);
  stack.push(BigInt(state.segment(SEG.ss).selector), gate.size);
  stack.push(state.gpr(GPR.rsp), gate.size);
  for (let n = gate.parameters - 1; n >= 0; n--) {
    stack.push(outer.peek(n * gate.size, gate.size), gate.size);
  }
  return inner;
}
