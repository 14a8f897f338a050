import type { Bytes, Insn } from "../insn";
import { CR0, FLAG, GPR, S, SEG, type SegIndex } from "../layout";
import { Attempt } from "./attempt";
import type { SysResult } from "./context";
import { SYSTEM, typeOf } from "./descriptor";
import { readSegment, type SysopContext, writeSegment } from "./segment-access";
import { isV8086 } from "./segments";
import { VECTOR } from "./vectors";

/** Offset of the I/O map base in a 32- or 64-bit TSS. */
const IO_MAP = 0x66;

/**
 * May this program use the port? IOPL decides in protected mode, the TSS's bitmap where it does not
 * and always in virtual-8086 mode. Two bytes are read, so that a port never straddles them
 * (SDM 1 19.5.2).
 */
export function checkPort(attempt: Attempt, port: number, size: number): void {
  const { state } = attempt;
  if (!(state.cr0 & CR0.PE)) return;
  const iopl = Number((state.u64(S.rflags) & FLAG.IOPL) >> 12n);
  if (!isV8086(state) && state.cpl <= iopl) return;
  const tr = state.segment(SEG.tr);
  const hasMap = !tr.unusable && typeOf(tr) === SYSTEM.tssBusy && tr.hi >= IO_MAP + 1;
  if (!attempt.require(hasMap, VECTOR.GP, 0)) return;
  const map = Number(attempt.readSystem(tr.base + BigInt(IO_MAP), 2));
  const at = map + (port >> 3);
  if (!attempt.require(at + 1 <= tr.hi, VECTOR.GP, 0)) return;
  const bits = Number(attempt.readSystem(tr.base + BigInt(at), 2)) >> (port & 7);
  attempt.require((bits & ((1 << size) - 1)) === 0, VECTOR.GP, 0);
}

/** IN accumulator, port */
export function portInput(ctx: SysopContext, insn: Insn): SysResult {
  const attempt = new Attempt(ctx);
  const port = portOf(ctx, insn, 1);
  checkPort(attempt, port, insn.operandSize);
  return attempt.finish(() => {
    ctx.setOperand(insn, 0, BigInt(ctx.board.portIn(port, insn.operandSize) >>> 0));
    return undefined;
  });
}

/** OUT port, accumulator */
export function portOutput(ctx: SysopContext, insn: Insn): SysResult {
  const attempt = new Attempt(ctx);
  const port = portOf(ctx, insn, 0);
  checkPort(attempt, port, insn.operandSize);
  return attempt.finish(() => {
    ctx.board.portOut(port, insn.operandSize, Number(ctx.operandValue(insn, 1)));
    return undefined;
  });
}

/** An immediate port is a byte, DX a word. */
function portOf(ctx: SysopContext, insn: Insn, operand: number): number {
  const mask = insn.operands[operand]?.kind === "imm" ? 0xffn : 0xffffn;
  return Number(ctx.operandValue(insn, operand) & mask);
}

/** INS: one element; a repeated one comes back to itself until rCX is 0. */
export function stringInput(ctx: SysopContext, insn: Insn): SysResult {
  const size = insn.operandSize;
  return stringStep(ctx, insn, GPR.rdi, (index) => {
    const check = new Attempt(ctx);
    const port = Number(ctx.state.gpr(GPR.rdx) & 0xffffn);
    checkPort(check, port, size);
    // The port is read once and only when the store cannot fail any more.
    writeSegment(check, SEG.es, index, size, 0n);
    if (check.fault) return check;
    const value = BigInt(ctx.board.portIn(port, size) >>> 0);
    const store = new Attempt(ctx);
    writeSegment(store, SEG.es, index, size, value);
    return store;
  });
}

/** OUTS: likewise. */
export function stringOutput(ctx: SysopContext, insn: Insn): SysResult {
  const size = insn.operandSize;
  const source = (insn.override >= 0 ? insn.override : SEG.ds) as SegIndex;
  const port = Number(ctx.state.gpr(GPR.rdx) & 0xffffn);
  let value = 0n;
  return stringStep(
    ctx,
    insn,
    GPR.rsi,
    (index) => {
      const attempt = new Attempt(ctx);
      checkPort(attempt, port, size);
      value = readSegment(attempt, source, index, size);
      return attempt;
    },
    () => ctx.board.portOut(port, size, Number(value)),
  );
}

function stringStep(
  ctx: SysopContext,
  insn: Insn,
  indexRegister: number,
  element: (index: bigint) => Attempt,
  effect: () => void = () => {},
): SysResult {
  const { state } = ctx;
  const { addressSize } = insn;
  const repeated = insn.rep !== 0;
  const count = BigInt.asUintN(8 * addressSize, state.gpr(GPR.rcx));
  if (repeated && count === 0n) return undefined;
  const index = BigInt.asUintN(8 * addressSize, state.gpr(indexRegister));
  return element(index).finish(() => {
    effect();
    const step = BigInt(state.u64(S.rflags) & FLAG.DF ? -insn.operandSize : insn.operandSize);
    setAddressRegister(ctx, indexRegister, index + step, addressSize);
    if (!repeated) return undefined;
    setAddressRegister(ctx, GPR.rcx, count - 1n, addressSize);
    if (count === 1n) return undefined;
    state.rip = ctx.rip;
    return { kind: "jumped" };
  });
}

/** rSI, rDI and rCX as wide as addresses are: 16 bits keep the rest, 32 bits clear it. */
function setAddressRegister(ctx: SysopContext, register: number, value: bigint, size: Bytes): void {
  const { state } = ctx;
  const low = BigInt.asUintN(8 * size, value);
  const kept = size === 2 ? state.gpr(register) & ~0xffffn : 0n;
  state.setGpr(register, kept | low);
}
