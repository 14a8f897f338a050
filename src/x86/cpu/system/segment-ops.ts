import type { Insn } from "../insn";
import { CR4, FLAG, S, SEG, type SegIndex } from "../layout";
import type { CpuState, Segment } from "../state";
import { Attempt } from "./attempt";
import type { SysResult } from "./context";
import { accessRights, mayRead, mayWrite, segmentLimit } from "./descriptor-queries";
import { loadLocalTable, loadTable, loadTaskRegister, TABLE } from "./descriptor-tables";
import { refused, undefinedHere } from "./fault-result";
import { SHADOW } from "./flag-instructions";
import { readOperandAt, type SysopContext, writeOperandAt } from "./segment-access";
import { loadData, usesParagraphs } from "./segments";
import { Stack } from "./stack";
import type { Sysop, SysopTable } from "./sysop";

/** Segment registers and descriptor tables. */
export const SEGMENT_OPS: SysopTable = {
  loadseg(ctx, insn) {
    const index = segmentOperand(insn, 0);
    if (index === SEG.cs) return undefinedHere;
    const attempt = new Attempt(ctx);
    const segment = loadData(attempt, index, Number(ctx.operandValue(insn, 1) & 0xffffn));
    return attempt.finish(() => commitSegment(ctx, index, segment));
  },
  popseg(ctx, insn) {
    const index = segmentOperand(insn, 0);
    const attempt = new Attempt(ctx);
    const stack = Stack.current(attempt);
    const selector = Number(stack.pop(insn.operandSize) & 0xffffn);
    const segment = loadData(attempt, index, selector);
    return attempt.finish(() => {
      stack.commit(ctx.state);
      return commitSegment(ctx, index, segment);
    });
  },
  les: loadPointer(SEG.es),
  lds: loadPointer(SEG.ds),
  lss: loadPointer(SEG.ss),
  lfs: loadPointer(SEG.fs),
  lgs: loadPointer(SEG.gs),

  lgdt: loadTableOp(TABLE.gdtr),
  lidt: loadTableOp(TABLE.idtr),
  sgdt: storeTableOp(TABLE.gdtr),
  sidt: storeTableOp(TABLE.idtr),
  lldt: protectedOnly((ctx, insn) => selectorOp(ctx, insn, loadLocalTable)),
  ltr: protectedOnly((ctx, insn) => selectorOp(ctx, insn, loadTaskRegister)),
  sldt: protectedOnly((ctx, insn) => storeSelector(ctx, insn, SEG.ldtr)),
  str: protectedOnly((ctx, insn) => storeSelector(ctx, insn, SEG.tr)),

  lar: protectedOnly((ctx, insn) => query(ctx, insn, accessRights)),
  lsl: protectedOnly((ctx, insn) => query(ctx, insn, segmentLimit)),
  verr: protectedOnly((ctx, insn) => verify(ctx, insn, mayRead)),
  verw: protectedOnly((ctx, insn) => verify(ctx, insn, mayWrite)),
  arpl: protectedOnly(arpl),
};

/** UMIP: SGDT, SIDT, SLDT, STR and SMSW tell level 3 nothing (SDM 3A 2.5, CR4.UMIP). */
export const isHidden = (state: CpuState): boolean => state.cpl !== 0 && state.hasCr4(CR4.UMIP);

/** Instructions about selectors are #UD where selectors name no descriptors. */
function protectedOnly(op: Sysop): Sysop {
  return (ctx, insn) => (usesParagraphs(ctx.state) ? undefinedHere : op(ctx, insn));
}

function segmentOperand(insn: Insn, n: number): SegIndex {
  const operand = insn.operands[n];
  if (operand?.kind !== "seg") throw new Error(`${insn.name}: operand ${n} is no segment register`);
  return operand.index as SegIndex;
}

/** MOV SS and POP SS hold back interrupts and debug traps for one instruction (SDM 3A 6.8.3). */
function commitSegment(ctx: SysopContext, index: SegIndex, segment: Segment): SysResult {
  ctx.state.setSegment(index, segment);
  if (index === SEG.ss) ctx.state.setU32(S.shadow, SHADOW.movSs);
  ctx.stateChanged();
  return undefined;
}

/** LDS and its kin: offset, then selector. No interrupt shadow, also for LSS. */
function loadPointer(index: SegIndex): Sysop {
  return (ctx, insn) => {
    const attempt = new Attempt(ctx);
    const size = insn.operandSize === 8 && ctx.model.vendor === "amd" ? 4 : insn.operandSize;
    const offset = readOperandAt(ctx, attempt, insn, 0, size);
    const selector = Number(readOperandAt(ctx, attempt, insn, size, 2));
    const segment = loadData(attempt, index, selector);
    return attempt.finish(() => {
      ctx.setOperand(insn, 0, offset);
      ctx.state.setSegment(index, segment);
      ctx.stateChanged();
      return undefined;
    });
  };
}

function loadTableOp(table: (typeof TABLE)[keyof typeof TABLE]): Sysop {
  return (ctx, insn) => {
    const { state } = ctx;
    if (state.cpl !== 0) return refused;
    const attempt = new Attempt(ctx);
    const limit = readOperandAt(ctx, attempt, insn, 0, 2);
    const base = readOperandAt(ctx, attempt, insn, 2, state.code64 ? 8 : 4);
    const is286 = !state.code64 && insn.operandSize === 2;
    return loadTable(attempt, table, limit, is286 ? base & 0xffffffn : base);
  };
}

/** The whole base is stored whatever the operand size, as processors since the 386 do. */
function storeTableOp(table: (typeof TABLE)[keyof typeof TABLE]): Sysop {
  return (ctx, insn) => {
    const { state } = ctx;
    if (isHidden(state)) return refused;
    const attempt = new Attempt(ctx);
    writeOperandAt(ctx, attempt, insn, 0, 2, BigInt(state.u32(table.limit)));
    writeOperandAt(ctx, attempt, insn, 2, state.code64 ? 8 : 4, state.u64(table.base));
    return attempt.finish(() => undefined);
  };
}

function selectorOp(
  ctx: SysopContext,
  insn: Insn,
  load: (attempt: Attempt, selector: number) => SysResult,
): SysResult {
  if (ctx.state.cpl !== 0) return refused;
  const attempt = new Attempt(ctx);
  return load(attempt, Number(ctx.operandValue(insn, 0) & 0xffffn));
}

function storeSelector(ctx: SysopContext, insn: Insn, index: SegIndex): SysResult {
  if (isHidden(ctx.state)) return refused;
  const attempt = new Attempt(ctx);
  ctx.setOperand(insn, 0, BigInt(ctx.state.segment(index).selector));
  return attempt.finish(() => undefined);
}

function setZero(state: CpuState, zero: boolean): void {
  state.rflags = zero ? state.rflags | FLAG.ZF : state.rflags & ~FLAG.ZF;
}

function query(
  ctx: SysopContext,
  insn: Insn,
  ask: (attempt: Attempt, selector: number) => bigint | undefined,
): SysResult {
  const attempt = new Attempt(ctx);
  const answer = ask(attempt, Number(ctx.operandValue(insn, 1) & 0xffffn));
  return attempt.finish(() => {
    if (answer !== undefined) ctx.setOperand(insn, 0, answer);
    setZero(ctx.state, answer !== undefined);
    return undefined;
  });
}

function verify(
  ctx: SysopContext,
  insn: Insn,
  ask: (attempt: Attempt, selector: number) => boolean,
): SysResult {
  const attempt = new Attempt(ctx);
  const answer = ask(attempt, Number(ctx.operandValue(insn, 0) & 0xffffn));
  return attempt.finish(() => {
    setZero(ctx.state, answer);
    return undefined;
  });
}

/** ARPL: raises the destination's RPL to the source's (SDM 2A). */
function arpl(ctx: SysopContext, insn: Insn): SysResult {
  const attempt = new Attempt(ctx);
  const selector = ctx.operandValue(insn, 0);
  const rpl = ctx.operandValue(insn, 1) & 3n;
  const isLower = (selector & 3n) < rpl;
  // A register operand cannot fault, so it may change before the attempt is over.
  if (isLower) ctx.setOperand(insn, 0, (selector & ~3n) | rpl);
  return attempt.finish(() => {
    setZero(ctx.state, isLower);
    return undefined;
  });
}
