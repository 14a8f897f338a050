import { ACCESS } from "../board";
import type { Bytes, Insn, OperandAccess } from "../insn";
import { SEG, type SegIndex } from "../layout";
import { type Attempt, isCanonical } from "./attempt";
import type { SystemContext } from "./context";
import { isReadable, isWritableData } from "./descriptor";
import { VECTOR } from "./vectors";

/** What a sysop is called with: the processor, and its instruction's operands. */
export type SysopContext = SystemContext & OperandAccess;

/**
 * Linear address of `size` bytes at `offset` in a segment, checked: canonical in 64-bit code, else
 * usable, of the right type and inside the limit (SDM 3A 5.3, 5.5). SS raises #SS, the others #GP.
 */
export function linearAddress(
  attempt: Attempt,
  index: SegIndex,
  offset: bigint,
  size: number,
  write: boolean,
): bigint {
  const { state } = attempt;
  const segment = state.segment(index);
  const vector = index === SEG.ss ? VECTOR.SS : VECTOR.GP;
  const last = BigInt(size - 1);
  if (state.code64) {
    const based = index === SEG.fs || index === SEG.gs;
    const va = BigInt.asUintN(64, offset + (based ? segment.base : 0n));
    const end = BigInt.asUintN(64, va + last);
    attempt.require(isCanonical(state, va) && isCanonical(state, end), vector, 0);
    return va;
  }
  const permitted = write ? isWritableData(segment) : isReadable(segment);
  attempt.require(!segment.unusable && permitted, vector, 0);
  const fits = offset >= BigInt(segment.lo) && offset + last <= BigInt(segment.hi);
  attempt.require(fits, vector, 0);
  return BigInt.asUintN(32, segment.base + offset);
}

const dataAccess = (attempt: Attempt): number => (attempt.state.cpl === 3 ? ACCESS.user : 0);

export function readSegment(
  attempt: Attempt,
  index: SegIndex,
  offset: bigint,
  size: Bytes,
): bigint {
  const va = linearAddress(attempt, index, offset, size, false);
  return attempt.read(va, size, dataAccess(attempt));
}

export function writeSegment(
  attempt: Attempt,
  index: SegIndex,
  offset: bigint,
  size: Bytes,
  value: bigint,
): void {
  const va = linearAddress(attempt, index, offset, size, true);
  attempt.write(va, size, value, dataAccess(attempt));
}

/** The part of the instruction's memory operand that starts `at` bytes in: m16:64, 128-bit descriptors. */
export function readOperandAt(
  ctx: SysopContext,
  attempt: Attempt,
  insn: Insn,
  at: number,
  size: Bytes,
): bigint {
  const { segment, offset } = partOf(ctx, insn, at);
  return readSegment(attempt, segment, offset, size);
}

export function writeOperandAt(
  ctx: SysopContext,
  attempt: Attempt,
  insn: Insn,
  at: number,
  size: Bytes,
  value: bigint,
): void {
  const { segment, offset } = partOf(ctx, insn, at);
  writeSegment(attempt, segment, offset, size, value);
}

function partOf(ctx: SysopContext, insn: Insn, at: number): { segment: SegIndex; offset: bigint } {
  const { segment, offset } = ctx.effectiveAddress(insn);
  return { segment, offset: BigInt.asUintN(8 * insn.addressSize, offset + BigInt(at)) };
}
