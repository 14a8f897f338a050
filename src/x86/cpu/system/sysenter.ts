import { CR0, FLAG, GPR, S, SEG } from "../layout";
import type { CpuState } from "../state";
import { isCanonical } from "./attempt";
import type { SysResult, SystemContext } from "./context";
import { refused, undefinedHere } from "./fault-result";
import { flatSegment } from "./segments";
import { atLevel3, FLAT } from "./syscall";

/** AMD knows these two in legacy mode only (APM 3 SYSENTER). */
const isAbsent = ({ state, model }: SystemContext): boolean =>
  !model.features.has("sep") || (model.vendor === "amd" && state.longMode);

const kernelSelector = (state: CpuState): number => Number(state.u64(S.sysenterCs)) & 0xfffc;

/** SYSENTER (SDM 2B): to level 0, at the address in the MSRs, remembering nothing. */
export function sysenter(ctx: SystemContext): SysResult {
  const { state } = ctx;
  if (isAbsent(ctx)) return undefinedHere;
  const selector = kernelSelector(state);
  if (!(state.cr0 & CR0.PE) || selector === 0) return refused;
  const { longMode } = state;
  const address = (value: bigint): bigint => BigInt.asUintN(longMode ? 64 : 32, value);
  state.rflags = state.rflags & ~(FLAG.VM | FLAG.IF);
  state.setSegment(SEG.cs, flatSegment(selector, longMode ? FLAT.code64 : FLAT.code32));
  state.setSegment(SEG.ss, flatSegment((selector + 8) & 0xffff, FLAT.data));
  state.setGpr(GPR.rsp, address(state.u64(S.sysenterEsp)));
  return land(ctx, address(state.u64(S.sysenterEip)));
}

/** SYSEXIT (SDM 2B): to RDX and RCX at level 3; `to64` with REX.W. */
export function sysexit(ctx: SystemContext, to64: boolean): SysResult {
  const { state } = ctx;
  if (isAbsent(ctx)) return undefinedHere;
  const selector = kernelSelector(state);
  if (!(state.cr0 & CR0.PE) || state.cpl !== 0 || selector === 0) return refused;
  const rip = state.gpr(GPR.rdx);
  const rsp = state.gpr(GPR.rcx);
  if (to64 && !(isCanonical(state, rip) && isCanonical(state, rsp))) return refused;
  const address = (value: bigint): bigint => BigInt.asUintN(to64 ? 64 : 32, value);
  const code = ((selector + (to64 ? 32 : 16)) & 0xffff) | 3;
  state.setSegment(SEG.cs, flatSegment(code, atLevel3(to64 ? FLAT.code64 : FLAT.code32)));
  state.setSegment(SEG.ss, flatSegment((code + 8) & 0xffff, atLevel3(FLAT.data)));
  state.setGpr(GPR.rsp, address(rsp));
  return land(ctx, address(rip));
}

function land(ctx: SystemContext, rip: bigint): SysResult {
  ctx.state.rip = rip;
  ctx.stateChanged();
  return { kind: "jumped" };
}
