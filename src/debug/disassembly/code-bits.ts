import { type CpuState, SEG } from "../../x86";

const DEFAULT_32 = 14; // the descriptor's D bit, as the segment register keeps it

/** Size of the code a vCPU runs now (SDM 3A 3.4.5: CS.L and CS.D). */
export function codeBits(state: CpuState): 16 | 32 | 64 {
  if (state.code64) return 64;
  return (state.segment(SEG.cs).attr >> DEFAULT_32) & 1 ? 32 : 16;
}
