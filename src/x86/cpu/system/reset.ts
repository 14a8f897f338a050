import { CR0, GPR, S, SEG, type SegIndex } from "../layout";
import type { CpuState } from "../state";
import { type CpuModel, SIGNATURE } from "./cpu-model";
import { DR6_FIXED, DR7_FIXED } from "./debug-registers";

/** PAT after power-on: WB, WT, UC-, UC, twice (SDM 3A 11.12.4). */
const PAT_DEFAULT = 0x0007040600070406n;
/** MISC_ENABLE: fast strings. */
const MISC_ENABLE_DEFAULT = 1n;
const LOCAL_APIC = 0xfee00000n;
const APIC_ENABLED = 1n << 11n;
const APIC_BSP = 1n << 8n;

/** Real-mode data, code, LDT and busy TSS, 64 KiB (SDM 3A table 9-1). */
const ATTR = { data: 0x93, code: 0x9b, ldt: 0x82, tss: 0x8b } as const;
const DATA_SEGMENTS = [SEG.es, SEG.ss, SEG.ds, SEG.fs, SEG.gs] as const;

/**
 * Register values after RESET or INIT (SDM 3A table 9-1). INIT keeps the TSC, the MTRRs, the x87 and
 * SSE state, most MSRs, and CR0's cache bits.
 */
export function resetState(state: CpuState, kind: "power-on" | "init", model: CpuModel): void {
  const cacheBits = kind === "init" ? state.cr0 & (CR0.CD | CR0.NW) : CR0.CD | CR0.NW;
  for (let n = 0; n < 16; n++) state.setGpr(n, 0n);
  state.setGpr(GPR.rdx, BigInt(SIGNATURE[model.vendor]));
  state.rip = 0xfff0n;
  state.rflags = 2n;
  const segment = (index: SegIndex, selector: number, base: bigint, attr: number): void =>
    state.setSegment(index, { selector, base, lo: 0, hi: 0xffff, attr, unusable: false });
  segment(SEG.cs, 0xf000, 0xffff0000n, ATTR.code);
  for (const index of DATA_SEGMENTS) segment(index, 0, 0n, ATTR.data);
  segment(SEG.ldtr, 0, 0n, ATTR.ldt);
  segment(SEG.tr, 0, 0n, ATTR.tss);
  for (const base of [S.gdtrBase, S.idtrBase]) state.setU64(base, 0n);
  for (const limit of [S.gdtrLimit, S.idtrLimit]) state.setU32(limit, 0xffff);
  state.cr0 = CR0.ET | cacheBits;
  for (const field of [S.cr2, S.cr3, S.cr4, S.cr8, S.efer]) state.setU64(field, 0n);
  for (let n = 0; n < 4; n++) state.setU64(S.dr + 8 * n, 0n);
  state.setU64(S.dr + 48, DR6_FIXED);
  state.setU64(S.dr + 56, DR7_FIXED);
  for (const field of [S.irqLine, S.pendingDb, S.shadow, S.activity, S.pending, S.nmiBlocked]) {
    state.setU32(field, 0);
  }
  state.setU32(S.nmiPending, 0);
  if (kind === "power-on") resetKept(state, model);
}

/** What INIT leaves alone. */
function resetKept(state: CpuState, model: CpuModel): void {
  const zeroed = [
    S.star,
    S.lstar,
    S.cstar,
    S.sfmask,
    S.kernelGsBase,
    S.sysenterCs,
    S.sysenterEsp,
    S.sysenterEip,
    S.tscOffset,
    S.tscAux,
    S.tscAdjust,
    S.debugCtl,
    S.pkru,
    S.mtrrDefType,
  ];
  for (const field of zeroed) state.setU64(field, 0n);
  for (let n = 0; n < 32; n++) state.setU64(S.mtrr + 8 * n, 0n);
  state.setU64(S.xcr0, 1n);
  state.setU64(S.pat, PAT_DEFAULT);
  state.setU64(S.miscEnable, MISC_ENABLE_DEFAULT);
  state.setU64(S.apicBase, LOCAL_APIC | APIC_ENABLED | (model.apicId === 0 ? APIC_BSP : 0n));
  resetFpu(state);
}

/** Power-on x87 and SSE state, for FNINIT too except MXCSR and the registers (SDM 3A table 9-1). */
function resetFpu(state: CpuState): void {
  for (let at = S.x87; at < S.fcw; at += 8) state.setU64(at, 0n);
  for (let at = S.xmm; at < S.xmm + 16 * 16; at += 8) state.setU64(at, 0n);
  state.view.setUint16(state.base + S.fcw, 0x40, true);
  state.view.setUint16(state.base + S.ftw, 0x5555, true);
  state.setU32(S.mxcsr, 0x1f80);
}

/** SIPI: real mode at `vector` x 4 KiB (SDM 3A 8.4.3). The registers are INIT's. */
export function startup(state: CpuState, vector: number): void {
  const cs = state.segment(SEG.cs);
  state.setSegment(SEG.cs, { ...cs, selector: vector << 8, base: BigInt(vector) << 12n });
  state.rip = 0n;
  state.setU32(S.activity, 0);
}
