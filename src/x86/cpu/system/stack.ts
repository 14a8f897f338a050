import { ACCESS } from "../board";
import type { Bytes } from "../insn";
import { GPR, SEG } from "../layout";
import type { CpuState, Segment } from "../state";
import { type Attempt, isCanonical } from "./attempt";
import { isBig } from "./descriptor";
import { VECTOR } from "./vectors";

/** Width of a stack pointer in bytes: 8 in 64-bit code, else by SS.B. */
export type StackWidth = 2 | 4 | 8;

export const stackWidth = (code64: boolean, ss: { attr: number }): StackWidth =>
  code64 ? 8 : isBig(ss) ? 4 : 2;

/** A stack pointer loaded by a return: a 16-bit stack keeps the bits above SP (as PUSH and POP do). */
export function setStackPointer(state: CpuState, width: StackWidth, sp: bigint): void {
  const old = state.gpr(GPR.rsp);
  const merged = width === 2 ? (old & ~0xffffn) | (sp & 0xffffn) : sp;
  state.setGpr(GPR.rsp, BigInt.asUintN(width === 4 ? 32 : 64, merged));
}

const MASKS = { 2: 0xffffn, 4: 0xffffffffn, 8: 0xffffffffffffffffn } as const;

/**
 * A stack as an attempt sees it: pointer moved at once, memory read and written through the attempt,
 * the register itself changed by nobody but the committer. A push or pop outside the
 * segment raises #SS(`error`).
 */
export class Stack {
  private readonly mask: bigint;
  private readonly access: number;

  constructor(
    private readonly attempt: Attempt,
    private readonly segment: Segment,
    private sp: bigint,
    private readonly width: StackWidth,
    cpl: number,
    private readonly error = 0,
  ) {
    this.mask = MASKS[width];
    this.access = cpl === 3 ? ACCESS.user : 0;
    this.sp = sp & this.mask;
  }

  /** SS:rSP as it is now; `error` is the code of its #SS. */
  static current(attempt: Attempt, error = 0): Stack {
    const { state } = attempt;
    const ss = state.segment(SEG.ss);
    const width = stackWidth(state.code64, ss);
    return new Stack(attempt, ss, state.gpr(GPR.rsp), width, state.cpl, error);
  }

  push(value: bigint, size: Bytes): void {
    const sp = (this.sp - BigInt(size)) & this.mask;
    const va = this.linear(sp, size);
    this.attempt.write(va, size, BigInt.asUintN(8 * size, value), this.access);
    this.sp = sp;
  }

  pop(size: Bytes): bigint {
    const va = this.linear(this.sp, size);
    const value = this.attempt.read(va, size, this.access);
    this.sp = (this.sp + BigInt(size)) & this.mask;
    return value;
  }

  /** Reads `size` bytes `bytes` above the top, leaving the pointer alone. */
  peek(bytes: number, size: Bytes): bigint {
    const sp = (this.sp + BigInt(bytes)) & this.mask;
    return this.attempt.read(this.linear(sp, size), size, this.access);
  }

  /** RET n: drops parameters. */
  skip(bytes: number): void {
    this.sp = (this.sp + BigInt(bytes)) & this.mask;
  }

  commit(state: CpuState): void {
    setStackPointer(state, this.width, this.sp);
  }

  private linear(offset: bigint, size: number): bigint {
    const { attempt, segment } = this;
    const last = offset + BigInt(size - 1);
    if (this.width === 8) {
      const { state } = attempt;
      const fits = isCanonical(state, offset) && isCanonical(state, last & this.mask);
      attempt.require(fits, VECTOR.SS, this.error);
      return offset;
    }
    const fits = !segment.unusable && offset >= BigInt(segment.lo) && last <= BigInt(segment.hi);
    attempt.require(fits, VECTOR.SS, this.error);
    return BigInt.asUintN(32, segment.base + offset);
  }
}
