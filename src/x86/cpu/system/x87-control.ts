import type { Insn } from "../insn";
import { CR0, CR4, S } from "../layout";
import type { CpuState } from "../state";
import { Attempt } from "./attempt";
import type { SysResult } from "./context";
import { faulted, refused, undefinedHere } from "./fault-result";
import { readOperandAt, type SysopContext, writeOperandAt } from "./segment-access";
import { VECTOR } from "./vectors";

/**
 * The x87 and SSE state as something to save, restore and initialise. Arithmetic is not built, so the
 * registers hold what FXRSTOR put there; tag and status words are kept as the architecture shows them.
 */

const deviceNotAvailable: SysResult = faulted({ vector: VECTOR.NM });

/** #NM with EM or TS; WAIT looks at MP and TS instead (SDM 3A table 2-2). */
const x87Refusal = ({ state }: SysopContext): SysResult =>
  state.cr0 & (CR0.EM | CR0.TS) ? deviceNotAvailable : undefined;

const word = (state: CpuState, at: number): number => state.view.getUint16(state.base + at, true);
const setWord = (state: CpuState, at: number, value: number): void =>
  state.view.setUint16(state.base + at, value, true);

export function fwait({ state }: SysopContext): SysResult {
  const both = CR0.MP | CR0.TS;
  return (state.cr0 & both) === both ? deviceNotAvailable : undefined;
}

/** FNINIT: control 37Fh, all registers empty (SDM 2A FINIT). */
export function fninit(ctx: SysopContext): SysResult {
  const no = x87Refusal(ctx);
  if (no) return no;
  const { state } = ctx;
  setWord(state, S.fcw, 0x37f);
  setWord(state, S.fsw, 0);
  setWord(state, S.ftw, 0xffff);
  setWord(state, S.fop, 0);
  state.setU64(S.fip, 0n);
  state.setU64(S.fdp, 0n);
  return undefined;
}

/** FNCLEX: exception flags, summary, busy. */
export function fnclex(ctx: SysopContext): SysResult {
  const no = x87Refusal(ctx);
  if (no) return no;
  setWord(ctx.state, S.fsw, word(ctx.state, S.fsw) & 0x7f00);
  return undefined;
}

/** FNSTSW, FNSTCW: the word at `from` to the operand. */
export function storeWord(ctx: SysopContext, insn: Insn, from: number): SysResult {
  const no = x87Refusal(ctx);
  if (no) return no;
  const attempt = new Attempt(ctx);
  ctx.setOperand(insn, 0, BigInt(word(ctx.state, from)));
  return attempt.finish(() => undefined);
}

export function fldcw(ctx: SysopContext, insn: Insn): SysResult {
  const no = x87Refusal(ctx);
  if (no) return no;
  const attempt = new Attempt(ctx);
  const value = Number(ctx.operandValue(insn, 0));
  return attempt.finish(() => {
    setWord(ctx.state, S.fcw, (value & 0x1f3f) | 0x40);
    return undefined;
  });
}

/** MXCSR bits that exist; writing another is #GP (SDM 1 10.2.3). */
const MXCSR_MASK = 0xffffn;

const sseRefusal = ({ state }: SysopContext): SysResult => {
  if (state.cr0 & CR0.EM || !state.hasCr4(CR4.OSFXSR)) return undefinedHere;
  return state.cr0 & CR0.TS ? deviceNotAvailable : undefined;
};

export function ldmxcsr(ctx: SysopContext, insn: Insn): SysResult {
  const no = sseRefusal(ctx);
  if (no) return no;
  const attempt = new Attempt(ctx);
  const value = ctx.operandValue(insn, 0);
  attempt.require((value & ~MXCSR_MASK) === 0n, VECTOR.GP, 0);
  return attempt.finish(() => {
    ctx.state.setU32(S.mxcsr, Number(value));
    return undefined;
  });
}

export function stmxcsr(ctx: SysopContext, insn: Insn): SysResult {
  const no = sseRefusal(ctx);
  if (no) return no;
  const attempt = new Attempt(ctx);
  ctx.setOperand(insn, 0, BigInt(ctx.state.u32(S.mxcsr)));
  return attempt.finish(() => undefined);
}

/** FXSAVE and FXRSTOR need 16-byte alignment (#GP). */
function fxRefusal(ctx: SysopContext, insn: Insn): SysResult {
  const no = x87Refusal(ctx);
  if (no) return no;
  return ctx.effectiveAddress(insn).linear & 15n ? refused : undefined;
}

/** XMM registers saved: 16 in 64-bit code, else 8, with OSFXSR. */
const xmmQuadwords = (ctx: SysopContext): number =>
  ctx.state.hasCr4(CR4.OSFXSR) ? (ctx.state.code64 ? 32 : 16) : 0;

/** Tag word as FXSAVE has it: one bit a register, set when not empty (SDM 1 10.5.1.1). */
const abridge = (full: number): number =>
  Array.from({ length: 8 }, (_, n) => (((full >> (2 * n)) & 3) === 3 ? 0 : 1 << n)).reduce(
    (sum, bit) => sum | bit,
    0,
  );
/** Back again; a register that is not empty counts as valid: nothing here looks closer. */
const unabridge = (short: number): number =>
  Array.from({ length: 8 }, (_, n) => ((short >> n) & 1 ? 0 : 3 << (2 * n))).reduce(
    (sum, bits) => sum | bits,
    0,
  );

/** Physical register of ST(n). */
const physical = (state: CpuState, n: number): number => (n + ((word(state, S.fsw) >> 11) & 7)) & 7;

export function fxsave(ctx: SysopContext, insn: Insn): SysResult {
  const no = fxRefusal(ctx, insn);
  if (no) return no;
  const { state } = ctx;
  const attempt = new Attempt(ctx);
  const put = (at: number, value: bigint): void => writeOperandAt(ctx, attempt, insn, at, 8, value);
  const control = BigInt(word(state, S.fcw)) | (BigInt(word(state, S.fsw)) << 16n);
  const tags = BigInt(abridge(word(state, S.ftw))) | (BigInt(word(state, S.fop)) << 16n);
  put(0, control | (tags << 32n));
  put(8, state.u64(S.fip));
  put(16, state.u64(S.fdp));
  put(24, BigInt(state.u32(S.mxcsr)) | (MXCSR_MASK << 32n));
  for (let n = 0; n < 8; n++) {
    const at = S.x87 + 16 * physical(state, n);
    put(32 + 16 * n, state.u64(at));
    put(40 + 16 * n, state.u64(at + 8) & 0xffffn);
  }
  for (let n = 0; n < xmmQuadwords(ctx); n++) put(160 + 8 * n, state.u64(S.xmm + 8 * n));
  return attempt.finish(() => undefined);
}

export function fxrstor(ctx: SysopContext, insn: Insn): SysResult {
  const no = fxRefusal(ctx, insn);
  if (no) return no;
  const { state } = ctx;
  const attempt = new Attempt(ctx);
  const quadwords = Array.from({ length: 20 + xmmQuadwords(ctx) }, (_, n) =>
    readOperandAt(ctx, attempt, insn, 8 * n, 8),
  );
  const at = (n: number): bigint => quadwords[n] ?? 0n;
  attempt.require((at(3) & 0xffffffffn & ~MXCSR_MASK) === 0n, VECTOR.GP, 0);
  return attempt.finish(() => {
    setWord(state, S.fcw, Number(at(0) & 0xffffn));
    setWord(state, S.fsw, Number((at(0) >> 16n) & 0xffffn));
    setWord(state, S.ftw, unabridge(Number((at(0) >> 32n) & 0xffn)));
    setWord(state, S.fop, Number((at(0) >> 48n) & 0x7ffn));
    state.setU64(S.fip, at(1));
    state.setU64(S.fdp, at(2));
    if (state.hasCr4(CR4.OSFXSR)) state.setU32(S.mxcsr, Number(at(3) & 0xffffffffn));
    for (let n = 0; n < 8; n++) {
      const slot = S.x87 + 16 * physical(state, n);
      state.setU64(slot, at(4 + 2 * n));
      state.setU64(slot + 8, at(5 + 2 * n) & 0xffffn);
    }
    for (let n = 0; n < xmmQuadwords(ctx); n++) state.setU64(S.xmm + 8 * n, at(20 + n));
    return undefined;
  });
}
