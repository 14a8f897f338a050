import type { Insn } from "../insn";
import { CR4, GPR, S, SEG, type SegIndex } from "../layout";
import { Attempt, isCanonicalBase } from "./attempt";
import type { SysResult } from "./context";
import { clearTaskSwitched, controlRegister, loadMachineStatus } from "./control-registers";
import { cpuid } from "./cpuid";
import { readDebug, writeDebug } from "./debug-registers";
import { refused, undefinedHere } from "./fault-result";
import { readMsr, writeMsr } from "./msr";
import type { SysopContext } from "./segment-access";
import { isHidden } from "./segment-ops";
import { swapgs } from "./syscall";
import type { Sysop, SysopTable } from "./sysop";

/** Control, debug and model-specific registers. */
export const REGISTER_OPS: SysopTable = {
  movcr: moveControl,
  movdr: moveDebug,
  lmsw(ctx, insn) {
    if (ctx.state.cpl !== 0) return refused;
    const attempt = new Attempt(ctx);
    const word = ctx.operandValue(insn, 0);
    return attempt.finish(() => loadMachineStatus(ctx, word));
  },
  smsw(ctx, insn) {
    if (isHidden(ctx.state)) return refused;
    const attempt = new Attempt(ctx);
    ctx.setOperand(insn, 0, ctx.state.cr0);
    return attempt.finish(() => undefined);
  },
  clts: (ctx) => (ctx.state.cpl === 0 ? clearTaskSwitched(ctx) : refused),

  rdmsr(ctx) {
    const { state } = ctx;
    if (state.cpl !== 0) return refused;
    const value = readMsr(ctx, low32(state.gpr(GPR.rcx)));
    if (value === undefined) return refused;
    setPair(ctx, value);
    return undefined;
  },
  wrmsr(ctx) {
    const { state } = ctx;
    if (state.cpl !== 0) return refused;
    return writeMsr(ctx, low32(state.gpr(GPR.rcx)), pair(ctx));
  },
  swapgs: (ctx) => swapgs(ctx),
  rdfsbase: readBase(SEG.fs),
  rdgsbase: readBase(SEG.gs),
  wrfsbase: writeBase(SEG.fs),
  wrgsbase: writeBase(SEG.gs),

  rdpkru(ctx) {
    if (!ctx.state.hasCr4(CR4.PKE)) return undefinedHere;
    if (low32(ctx.state.gpr(GPR.rcx)) !== 0) return refused;
    setPair(ctx, ctx.state.u64(S.pkru));
    return undefined;
  },
  wrpkru(ctx) {
    const { state } = ctx;
    if (!state.hasCr4(CR4.PKE)) return undefinedHere;
    if (low32(state.gpr(GPR.rcx)) !== 0 || low32(state.gpr(GPR.rdx)) !== 0) return refused;
    state.setU64(S.pkru, pair(ctx));
    ctx.board.pkruWritten();
    // TLB entries hold rights as they were under the old keys.
    ctx.flushTlb(false);
    return undefined;
  },

  cpuid(ctx) {
    const { state } = ctx;
    const result = cpuid(ctx, low32(state.gpr(GPR.rax)), low32(state.gpr(GPR.rcx)));
    const registers = [GPR.rax, GPR.rbx, GPR.rcx, GPR.rdx];
    registers.forEach((register, n) => {
      state.setGpr(register, BigInt(result[n]!));
    });
    return undefined;
  },
};

const low32 = (value: bigint): number => Number(BigInt.asUintN(32, value));

/** EDX:EAX */
function pair({ state }: SysopContext): bigint {
  return BigInt(low32(state.gpr(GPR.rax))) | (BigInt(low32(state.gpr(GPR.rdx))) << 32n);
}

export function setPair({ state }: SysopContext, value: bigint): void {
  state.setGpr(GPR.rax, BigInt.asUintN(32, value));
  state.setGpr(GPR.rdx, value >> 32n);
}

function moveControl(ctx: SysopContext, insn: Insn): SysResult {
  const [target, source] = insn.operands;
  const special = target?.kind === "cr" ? target : source;
  const register = special?.kind === "cr" ? controlRegister(special.index) : undefined;
  if (!register) return undefinedHere;
  if (ctx.state.cpl !== 0) return refused;
  if (target?.kind === "cr") return register.write(ctx, ctx.operandValue(insn, 1));
  ctx.setOperand(insn, 0, register.read(ctx));
  return undefined;
}

function moveDebug(ctx: SysopContext, insn: Insn): SysResult {
  const [target, source] = insn.operands;
  if (target?.kind === "dr") return writeDebug(ctx, target.index, ctx.operandValue(insn, 1));
  if (source?.kind !== "dr") return undefinedHere;
  const outcome = readDebug(ctx, source.index);
  if ("refused" in outcome) return outcome.refused;
  ctx.setOperand(insn, 0, outcome.value);
  return undefined;
}

/** RDFSBASE and its kin: 64-bit code with CR4.FSGSBASE, at any level. */
const basesAreOpen = ({ state }: SysopContext): boolean =>
  state.code64 && state.hasCr4(CR4.FSGSBASE);

function readBase(index: SegIndex): Sysop {
  return (ctx, insn) => {
    if (!basesAreOpen(ctx)) return undefinedHere;
    ctx.setOperand(insn, 0, ctx.state.segment(index).base);
    return undefined;
  };
}

function writeBase(index: SegIndex): Sysop {
  return (ctx, insn) => {
    if (!basesAreOpen(ctx)) return undefinedHere;
    const { state } = ctx;
    const base = ctx.operandValue(insn, 0);
    if (!isCanonicalBase(ctx, base)) return refused;
    state.setSegment(index, { ...state.segment(index), base });
    return undefined;
  };
}
