import type { GuestFault } from "../board";
import { FLAG, SEG, type SegIndex } from "../layout";
import type { Segment } from "../state";
import { Attempt } from "./attempt";
import type { SystemContext } from "./context";
import {
  dplOf,
  isCode,
  isConforming,
  isPresent,
  isReadable,
  isSystem,
  markAccessed,
  readDescriptor,
  readNonNull,
  SYSTEM,
  toSegment,
  typeOf,
} from "./descriptor";
import { checkStack, nullSegment, paragraphSegment } from "./segments";
import { Stack } from "./stack";
import { TASK_SEGMENTS, type TaskImage } from "./tss";
import { isNull, selectorError, VECTOR } from "./vectors";

/**
 * The segment registers of a task just switched to. Each is loaded on its own, so those before the first
 * fault stay loaded; the others hold their selectors and cannot be used (SDM 3A 7.3, table 7-1).
 */
export function loadTaskSegments(
  ctx: SystemContext,
  image: TaskImage,
  ext: 0 | 1,
): GuestFault | undefined {
  const { state } = ctx;
  const selectorOf = (index: SegIndex): number => image.selectors[index] ?? 0;
  const v8086 = (image.rflags & FLAG.VM) !== 0n;
  const cpl = v8086 ? 3 : selectorOf(SEG.cs) & 3;
  for (const index of TASK_SEGMENTS) {
    const selector = selectorOf(index);
    const raw = v8086
      ? paragraphSegment(state.segment(index), selector, true)
      : nullSegment(selector, cpl);
    state.setSegment(index, raw);
  }
  state.setSegment(SEG.ldtr, nullSegment(image.ldt));
  const one = (index: SegIndex, load: (attempt: Attempt) => Segment): GuestFault | undefined => {
    const attempt = new Attempt(ctx);
    const segment = load(attempt);
    if (attempt.fault) return attempt.fault;
    ctx.mem.commit();
    state.setSegment(index, segment);
    return undefined;
  };
  const fault = one(SEG.ldtr, (attempt) => localTable(attempt, image.ldt, ext));
  if (fault || v8086) return fault;
  return (
    one(SEG.cs, (attempt) => code(attempt, selectorOf(SEG.cs), ext)) ??
    one(SEG.ss, (attempt) => stack(attempt, selectorOf(SEG.ss), cpl, ext)) ??
    one(SEG.ds, (attempt) => data(attempt, selectorOf(SEG.ds), cpl, ext)) ??
    one(SEG.es, (attempt) => data(attempt, selectorOf(SEG.es), cpl, ext)) ??
    one(SEG.fs, (attempt) => data(attempt, selectorOf(SEG.fs), cpl, ext)) ??
    one(SEG.gs, (attempt) => data(attempt, selectorOf(SEG.gs), cpl, ext)) ??
    beyondCode(ctx, ext)
  );
}

function localTable(attempt: Attempt, selector: number, ext: number): Segment {
  if (isNull(selector)) return nullSegment(selector);
  const error = selectorError(selector) | ext;
  attempt.require((selector & 4) === 0, VECTOR.TS, error);
  const d = readDescriptor(attempt, selector, VECTOR.TS, ext);
  attempt.require(isSystem(d) && typeOf(d) === SYSTEM.ldt && isPresent(d), VECTOR.TS, error);
  return toSegment(selector, d);
}

function code(attempt: Attempt, selector: number, ext: number): Segment {
  const error = selectorError(selector) | ext;
  const rpl = selector & 3;
  const d = readNonNull(attempt, selector, VECTOR.TS, ext);
  const level = isConforming(d) ? dplOf(d) <= rpl : dplOf(d) === rpl;
  attempt.require(isCode(d) && level, VECTOR.TS, error);
  attempt.require(isPresent(d), VECTOR.NP, error);
  markAccessed(attempt, d, ext);
  return toSegment(selector, d);
}

function stack(attempt: Attempt, selector: number, cpl: number, ext: number): Segment {
  attempt.require(!isNull(selector), VECTOR.TS, ext);
  return checkStack(attempt, selector, cpl, { vector: VECTOR.TS, ext });
}

function data(attempt: Attempt, selector: number, cpl: number, ext: number): Segment {
  if (isNull(selector)) return nullSegment(selector);
  const error = selectorError(selector) | ext;
  const d = readDescriptor(attempt, selector, VECTOR.TS, ext);
  attempt.require(isReadable(d), VECTOR.TS, error);
  const level = isConforming(d) || Math.max(selector & 3, cpl) <= dplOf(d);
  attempt.require(level, VECTOR.TS, error);
  attempt.require(isPresent(d), VECTOR.NP, error);
  markAccessed(attempt, d, ext);
  return toSegment(selector, d);
}

const beyondCode = ({ state }: SystemContext, ext: number): GuestFault | undefined =>
  state.rip > BigInt(state.segment(SEG.cs).hi) ? { vector: VECTOR.GP, error: ext } : undefined;

/** An exception's error code goes on the stack of the task that handles it (SDM 3A 6.13). */
export function pushTaskError(
  ctx: SystemContext,
  size: 2 | 4,
  error: number | undefined,
): GuestFault | undefined {
  if (error === undefined) return undefined;
  const attempt = new Attempt(ctx);
  const stack = Stack.current(attempt);
  stack.push(BigInt(error), size);
  if (attempt.fault) return attempt.fault;
  ctx.mem.commit();
  stack.commit(ctx.state);
  return undefined;
}
