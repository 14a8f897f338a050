import type { Bytes } from "../insn";
import { CR0, FLAG, S } from "../layout";
import type { CpuState } from "../state";
import { Attempt } from "./attempt";
import type { SysResult, SystemContext } from "./context";
import { refused, undefinedHere } from "./fault-result";
import { isV8086 } from "./segments";
import { Stack } from "./stack";

const iopl = (state: CpuState): number => Number((state.u64(S.rflags) & FLAG.IOPL) >> 12n);

/** CLI and STI: by IOPL in every protected mode; there are no virtual interrupts (CR4.VME, PVI). */
const mayChangeIf = (state: CpuState): boolean =>
  (state.cr0 & CR0.PE) === 0n || state.cpl <= iopl(state);

export function cli(ctx: SystemContext): SysResult {
  const { state } = ctx;
  if (!mayChangeIf(state)) return refused;
  state.setU64(S.rflags, state.u64(S.rflags) & ~FLAG.IF);
  return undefined;
}

/** Interrupts that were masked stay so for one more instruction (SDM 2B STI). */
export function sti(ctx: SystemContext): SysResult {
  const { state } = ctx;
  if (!mayChangeIf(state)) return refused;
  const flags = state.u64(S.rflags);
  if (!(flags & FLAG.IF)) state.setU32(S.shadow, SHADOW.sti);
  state.setU64(S.rflags, flags | FLAG.IF);
  return undefined;
}

/** Values of `S.shadow`. */
export const SHADOW = { sti: 1, movSs: 2 } as const;

/** PUSHF: RF and VM read 0; virtual-8086 code needs IOPL 3. */
export function pushf(ctx: SystemContext, size: Bytes): SysResult {
  const { state } = ctx;
  if (isV8086(state) && iopl(state) < 3) return refused;
  const attempt = new Attempt(ctx);
  const stack = Stack.current(attempt);
  stack.push(state.rflags & ~(FLAG.RF | FLAG.VM), size);
  return attempt.finish(() => {
    stack.commit(state);
    return undefined;
  });
}

const PLAIN =
  FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT;

/** POPF: clears RF, changes IF by IOPL and IOPL at level 0 only, never VM, VIF or VIP (SDM 2B POPF). */
export function popf(ctx: SystemContext, size: Bytes): SysResult {
  const { state } = ctx;
  const v8086 = isV8086(state);
  if (v8086 && iopl(state) < 3) return refused;
  const attempt = new Attempt(ctx);
  const stack = Stack.current(attempt);
  const value = stack.pop(size);
  return attempt.finish(() => {
    let mask = PLAIN | (size === 2 ? 0n : FLAG.AC | FLAG.ID);
    if (state.cpl === 0) mask |= FLAG.IOPL;
    if (mayChangeIf(state)) mask |= FLAG.IF;
    state.rflags = ((state.rflags & ~mask) | (value & mask)) & ~FLAG.RF;
    stack.commit(state);
    ctx.stateChanged();
    return undefined;
  });
}

/** STAC, CLAC: level 0 only, #UD otherwise, as on a processor without SMAP (SDM 2B). */
export function setAc(ctx: SystemContext, on: boolean): SysResult {
  const { state, model } = ctx;
  if (!model.features.has("smap") || state.cpl !== 0) return undefinedHere;
  const flags = state.u64(S.rflags);
  state.setU64(S.rflags, on ? flags | FLAG.AC : flags & ~FLAG.AC);
  ctx.stateChanged();
  return undefined;
}
