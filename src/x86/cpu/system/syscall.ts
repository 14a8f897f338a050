import { EFER, FLAG, GPR, S, SEG } from "../layout";
import type { CpuState } from "../state";
import { isCanonical } from "./attempt";
import type { SysResult, SystemContext } from "./context";
import { SINGLE_STEP } from "./exceptions";
import { refused, undefinedHere } from "./fault-result";
import { flatSegment } from "./segments";

/** Present, accessed, readable code or writable data, page granular; DPL in bits 6:5. */
export const FLAT = { code64: 0xa09b, code32: 0xc09b, data: 0xc093 } as const;
export const atLevel3 = (attr: number): number => attr | 0x60;

const KERNEL_CS = 32n;
const USER_CS = 48n;
const selectorAt = (star: bigint, shift: bigint): number => Number((star >> shift) & 0xffffn);

/** Bits of R11 that SYSRET puts into RFLAGS: all but RF and VM (SDM 2B SYSRET). */
const SYSRET_FLAGS = 0x3c7fd7n;

/** SYSCALL (SDM 2B, APM 3). AMD has it in compatibility and legacy mode too, through CSTAR and STAR. */
export function syscall(ctx: SystemContext): SysResult {
  const { state, model } = ctx;
  if (!isEnabled(state) || (model.vendor === "intel" && !state.code64)) return undefinedHere;
  if (!state.longMode) return legacySyscall(ctx);
  const target = state.u64(state.code64 ? S.lstar : S.cstar);
  const flags = state.rflags;
  state.setGpr(GPR.rcx, ctx.nextRip);
  state.setGpr(GPR.r11, flags);
  state.rflags = flags & ~state.u64(S.sfmask) & ~FLAG.RF;
  enterKernel(state, FLAT.code64);
  return land(ctx, target);
}

/** Legacy mode: EIP from STAR[31:0], interrupts off. */
function legacySyscall(ctx: SystemContext): SysResult {
  const { state } = ctx;
  state.setGpr(GPR.rcx, ctx.nextRip);
  state.rflags = state.rflags & ~(FLAG.IF | FLAG.VM | FLAG.RF);
  enterKernel(state, FLAT.code32);
  return land(ctx, BigInt.asUintN(32, state.u64(S.star)));
}

function enterKernel(state: CpuState, codeAttr: number): void {
  const selector = selectorAt(state.u64(S.star), KERNEL_CS) & 0xfffc;
  state.setSegment(SEG.cs, flatSegment(selector, codeAttr));
  state.setSegment(SEG.ss, flatSegment((selector + 8) & 0xffff, FLAT.data));
}

/** SYSRET; `to64` with REX.W, else to a 32-bit program. */
export function sysret(ctx: SystemContext, to64: boolean): SysResult {
  const { state, model } = ctx;
  if (!isEnabled(state) || (model.vendor === "intel" && !state.code64)) return undefinedHere;
  if (state.cpl !== 0) return refused;
  const rcx = state.gpr(GPR.rcx);
  // AMD returns anywhere: a non-canonical RIP faults at the first fetch, at level 3.
  if (to64 && model.vendor === "intel" && !isCanonical(state, rcx)) return refused;
  const base = selectorAt(state.u64(S.star), USER_CS);
  if (state.longMode) state.rflags = (state.gpr(GPR.r11) & SYSRET_FLAGS) | 2n;
  else state.rflags = state.rflags | FLAG.IF;
  const code = ((to64 ? base + 16 : base) & 0xffff) | 3;
  state.setSegment(SEG.cs, flatSegment(code, atLevel3(to64 ? FLAT.code64 : FLAT.code32)));
  returnStack(ctx, ((base + 8) & 0xffff) | 3);
  return land(ctx, to64 ? rcx : BigInt.asUintN(32, rcx));
}

/** Intel loads a flat SS; AMD changes its selector and level only (APM 3 SYSRET). */
function returnStack({ state, model }: SystemContext, selector: number): void {
  const old = state.segment(SEG.ss);
  const kept = { ...old, selector, attr: atLevel3(old.attr) };
  const flat = flatSegment(selector, atLevel3(FLAT.data));
  state.setSegment(SEG.ss, model.vendor === "amd" ? kept : flat);
}

/** In protected mode only, and only when the system switched it on. */
const isEnabled = (state: CpuState): boolean =>
  (state.cr0 & 1n) !== 0n && (state.efer & EFER.SCE) !== 0n;

/**
 * Single-step after SYSCALL and SYSRET follows the TF they leave, not the one they found: a trap is
 * due at once when they set it, none when they cleared it.
 */
function land(ctx: SystemContext, rip: bigint): SysResult {
  const { state } = ctx;
  state.rip = rip;
  if (state.u64(S.rflags) & FLAG.TF) {
    state.setU32(S.pendingDb, state.u32(S.pendingDb) | SINGLE_STEP);
  }
  ctx.stateChanged();
  return { kind: "jumped", trapFlagAfter: true };
}

/** SWAPGS (64-bit code at level 0). */
export function swapgs(ctx: SystemContext): SysResult {
  const { state } = ctx;
  if (!state.code64) return undefinedHere;
  if (state.cpl !== 0) return refused;
  const gs = state.segment(SEG.gs);
  state.setSegment(SEG.gs, { ...gs, base: state.u64(S.kernelGsBase) });
  state.setU64(S.kernelGsBase, gs.base);
  return undefined;
}
