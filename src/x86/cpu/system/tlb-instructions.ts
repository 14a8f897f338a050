import type { Insn } from "../insn";
import { CR4, SEG } from "../layout";
import { Attempt, isCanonical, isCanonicalBase } from "./attempt";
import type { SysResult } from "./context";
import { refused, undefinedHere } from "./fault-result";
import { readOperandAt, type SysopContext } from "./segment-access";

/**
 * INVLPG: no check of the segment's limit, and nothing happens for a non-canonical address, but the
 * hypervisor hears of either (SDM 2A INVLPG).
 */
export function invlpg(ctx: SysopContext, insn: Insn): SysResult {
  const { state, board } = ctx;
  if (state.cpl !== 0) return refused;
  const { segment, offset } = ctx.effectiveAddress(insn);
  const based = !state.code64 || segment === SEG.fs || segment === SEG.gs;
  const base = based ? state.segment(segment).base : 0n;
  const va = BigInt.asUintN(state.code64 ? 64 : 32, base + offset);
  if (ctx.ask.beforeInvlpg(va)) return { kind: "stop" };
  if (isCanonical(state, va)) ctx.flushTlbPage(va);
  board.invlpg(va);
  return undefined;
}

const INVPCID = { address: 0n, context: 1n, all: 2n, allButGlobal: 3n } as const;
const MAX_PCID = 0xfffn;

/** INVPCID (SDM 2A; F-122): every operand is checked before anything goes. */
export function invpcid(ctx: SysopContext, insn: Insn): SysResult {
  const { state, board } = ctx;
  if (!ctx.model.features.has("invpcid")) return undefinedHere;
  if (state.cpl !== 0) return refused;
  const attempt = new Attempt(ctx);
  const type = ctx.operandValue(insn, 0);
  const low = readOperandAt(ctx, attempt, insn, 0, 8);
  const va = readOperandAt(ctx, attempt, insn, 8, 8);
  if (!attempt.fault && !isLegal(ctx, type, low, va)) return refused;
  return attempt.finish(() => {
    invalidate(ctx, type, low, va);
    board.invpcid(Number(type), Number(low), va);
    return undefined;
  });
}

function isLegal(ctx: SysopContext, type: bigint, low: bigint, va: bigint): boolean {
  if (type > INVPCID.allButGlobal || low > MAX_PCID) return false;
  if (type > INVPCID.context) return true;
  if (!ctx.state.hasCr4(CR4.PCIDE) && low !== 0n) return false;
  return type !== INVPCID.address || isCanonicalBase(ctx, va);
}

/** The TLB holds the current PCID's translations only, so another PCID's are gone already. */
function invalidate(ctx: SysopContext, type: bigint, pcid: bigint, va: bigint): void {
  const { state } = ctx;
  const current = state.hasCr4(CR4.PCIDE) ? state.cr3 & MAX_PCID : 0n;
  if (type === INVPCID.all) ctx.flushTlb(false);
  else if (type === INVPCID.allButGlobal) ctx.flushTlb(true);
  else if (pcid !== current) return;
  else if (type === INVPCID.address) ctx.flushTlbPage(va);
  else ctx.flushTlb(true);
}
