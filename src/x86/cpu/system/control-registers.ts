import { CR0, CR4, EFER, SEG } from "../layout";
import type { CpuState } from "../state";
import type { SysResult, SystemContext } from "./context";
import { allowedCr4 } from "./cpu-model";
import { isLong, SYSTEM, typeOf } from "./descriptor";
import { refused } from "./fault-result";

/** MOV to control registers, LMSW, CLTS: the checks of SDM 2B MOV-CR and 3A 2.5, then the effects. */

/** Bits of CR0 that exist; the others below bit 32 are ignored on writing and read 0, ET reads 1. */
const CR0_DEFINED =
  CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;

/** Changing one of these changes what cached translations permit or mean (SDM 3A 4.10.4.1). */
const CR0_FLUSHES = CR0.PG | CR0.WP;
const CR4_FLUSHES =
  CR4.PGE | CR4.PSE | CR4.PAE | CR4.PCIDE | CR4.SMEP | CR4.SMAP | CR4.PKE | CR4.LA57;

/** CR3 bit 63 under CR4.PCIDE: keep the translations of the new PCID. */
const NO_FLUSH = 1n << 63n;
const PCID = 0xfffn;

export function writeCr0(ctx: SystemContext, value: bigint): SysResult {
  const { state, board } = ctx;
  const old = state.cr0;
  if (value >> 32n) return refused;
  const next = (value & CR0_DEFINED) | CR0.ET;
  if (!cr0IsLegal(state, next)) return refused;
  if (ctx.ask.beforeControlWrite("cr0", old, next)) return { kind: "stop" };
  const efer = state.efer;
  state.cr0 = next;
  state.efer = next & CR0.PG && efer & EFER.LME ? efer | EFER.LMA : efer & ~EFER.LMA;
  const fault = board.cr0Written(old, next);
  if (fault) {
    state.cr0 = old;
    state.efer = efer;
    return { kind: "fault", fault };
  }
  if ((old ^ next) & CR0_FLUSHES) ctx.flushTlb(false);
  ctx.stateChanged();
  return undefined;
}

function cr0IsLegal(state: CpuState, next: bigint): boolean {
  if (next & CR0.PG && !(next & CR0.PE)) return false;
  if (next & CR0.NW && !(next & CR0.CD)) return false;
  const pagingChanges = (state.cr0 ^ next) & CR0.PG;
  if (!pagingChanges) return true;
  if (!(next & CR0.PG)) return !state.code64 && !(state.cr4 & CR4.PCIDE);
  return !(state.efer & EFER.LME) || canEnterLongMode(state);
}

/** The consistency checks of setting CR0.PG with EFER.LME (SDM 3A 9.8.5). */
function canEnterLongMode(state: CpuState): boolean {
  const tr = state.segment(SEG.tr);
  const tss16 = typeOf(tr) === SYSTEM.tss16 || typeOf(tr) === SYSTEM.tss16Busy;
  return (state.cr4 & CR4.PAE) !== 0n && !isLong(state.segment(SEG.cs)) && (tr.unusable || !tss16);
}

/** LMSW: the low four bits, PE only upwards (SDM 2A LMSW; F-185). */
export function loadMachineStatus(ctx: SystemContext, word: bigint): SysResult {
  const { cr0 } = ctx.state;
  const low = CR0.MP | CR0.EM | CR0.TS;
  return writeCr0(ctx, (cr0 & ~low) | (word & (low | CR0.PE)));
}

export function clearTaskSwitched(ctx: SystemContext): SysResult {
  return writeCr0(ctx, ctx.state.cr0 & ~CR0.TS);
}

export function writeCr2(ctx: SystemContext, value: bigint): SysResult {
  ctx.state.cr2 = value;
  return undefined;
}

export function writeCr3(ctx: SystemContext, value: bigint): SysResult {
  const { state, board } = ctx;
  const old = state.cr3;
  const tagged = (state.cr4 & CR4.PCIDE) !== 0n;
  const noFlush = tagged && (value & NO_FLUSH) !== 0n;
  const next = tagged ? value & ~NO_FLUSH : value;
  // In long mode everything from MAXPHYADDR up is reserved; elsewhere only 32 bits can be written.
  if (state.longMode && next >> BigInt(ctx.model.physicalBits)) return refused;
  if (ctx.ask.beforeControlWrite("cr3", old, next)) return { kind: "stop" };
  state.cr3 = next;
  const fault = board.cr3Written(old, next, noFlush);
  if (fault) {
    state.cr3 = old;
    return { kind: "fault", fault };
  }
  // The TLB is not tagged: another PCID's translations may go, and must when the PCID changes.
  if (!noFlush || (old & PCID) !== (next & PCID)) ctx.flushTlb(true);
  return undefined;
}

export function writeCr4(ctx: SystemContext, value: bigint): SysResult {
  const { state, board } = ctx;
  const old = state.cr4;
  if (!cr4IsLegal(ctx, value)) return refused;
  if (ctx.ask.beforeControlWrite("cr4", old, value)) return { kind: "stop" };
  state.cr4 = value;
  const fault = board.cr4Written(old, value);
  if (fault) {
    state.cr4 = old;
    return { kind: "fault", fault };
  }
  if ((old ^ value) & CR4_FLUSHES) ctx.flushTlb(false);
  ctx.stateChanged();
  return undefined;
}

function cr4IsLegal({ state, model }: SystemContext, value: bigint): boolean {
  if (value & ~allowedCr4(model)) return false;
  const changed = state.cr4 ^ value;
  if (state.longMode && changed & (CR4.PAE | CR4.LA57)) return false;
  const tagging = changed & value & CR4.PCIDE;
  return !tagging || (state.longMode && !(state.cr3 & PCID));
}

/** CR8 is the task-priority class; bits 63:4 are reserved. */
export function writeCr8(ctx: SystemContext, value: bigint): SysResult {
  if (value >> 4n) return refused;
  ctx.board.taskPriority(value);
  return undefined;
}

type ControlRegister = {
  read(ctx: SystemContext): bigint;
  write(ctx: SystemContext, value: bigint): SysResult;
};

/** Registers MOV CR knows; any other number is #UD. */
const REGISTERS: Readonly<Record<number, ControlRegister>> = {
  0: { read: ({ state }) => state.cr0, write: writeCr0 },
  2: { read: ({ state }) => state.cr2, write: writeCr2 },
  3: { read: ({ state }) => state.cr3, write: writeCr3 },
  4: { read: ({ state }) => state.cr4, write: writeCr4 },
  8: { read: ({ board }) => board.taskPriority(), write: writeCr8 },
};

export const controlRegister = (index: number): ControlRegister | undefined => REGISTERS[index];

/** Bits of EFER this processor has; LMA is shown but never written. */
function allowedEfer({ model: { features } }: SystemContext): bigint {
  let bits = EFER.LMA;
  if (features.has("syscall")) bits |= EFER.SCE;
  if (features.has("lm")) bits |= EFER.LME;
  if (features.has("nx")) bits |= EFER.NX;
  return bits;
}

/** WRMSR to EFER (SDM 3A 2.2.1; F-186): LME is fixed while paging is on, LMA follows by itself. */
export function writeEfer(ctx: SystemContext, value: bigint): SysResult {
  const { state, board } = ctx;
  const old = state.efer;
  const next = (value & ~EFER.LMA) | (old & EFER.LMA);
  if (next & ~allowedEfer(ctx)) return refused;
  if (state.paging && (old ^ next) & EFER.LME) return refused;
  if (ctx.ask.beforeControlWrite("efer", old, next)) return { kind: "stop" };
  state.efer = next;
  board.eferWritten(old, next);
  if ((old ^ next) & EFER.NX) ctx.flushTlb(false);
  ctx.stateChanged();
  return undefined;
}
