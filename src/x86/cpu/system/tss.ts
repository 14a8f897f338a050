import { S, SEG, type SegIndex } from "../layout";
import type { CpuState } from "../state";
import type { Attempt } from "./attempt";

/** Where a task-state segment keeps what (SDM 3A figures 7-2 and 7-10). */
export interface TssLayout {
  /** Width of registers and of what an error code is pushed as. */
  readonly size: 2 | 4;
  /** Least limit. */
  readonly limit: number;
  readonly cr3: number | undefined;
  readonly rip: number;
  readonly rflags: number;
  /** rAX … rDI in the order of their numbers. */
  readonly registers: number;
  /** ES, CS, SS, DS and, in the 32-bit one, FS, GS; as far apart as `size`. */
  readonly segments: number;
  readonly segmentCount: number;
  readonly ldt: number;
  /** Byte whose bit 0 asks for a debug trap in the new task. */
  readonly trap: number | undefined;
}

const TSS_32: TssLayout = {
  size: 4,
  limit: 0x67,
  cr3: 0x1c,
  rip: 0x20,
  rflags: 0x24,
  registers: 0x28,
  segments: 0x48,
  segmentCount: 6,
  ldt: 0x60,
  trap: 0x64,
};
const TSS_16: TssLayout = {
  size: 2,
  limit: 0x2b,
  cr3: undefined,
  rip: 0x0e,
  rflags: 0x10,
  registers: 0x12,
  segments: 0x22,
  segmentCount: 4,
  ldt: 0x2a,
  trap: undefined,
};

/** Bit 3 of the descriptor's type tells the two apart, busy or not. */
export const tssLayout = ({ attr }: { attr: number }): TssLayout => (attr & 8 ? TSS_32 : TSS_16);

/** Segment registers in the order of the TSS, which is that of their numbers. */
export const TASK_SEGMENTS = [SEG.es, SEG.cs, SEG.ss, SEG.ds, SEG.fs, SEG.gs] as const;

/** What a task starts or goes on with. */
export interface TaskImage {
  readonly cr3: bigint | undefined;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly registers: readonly bigint[];
  /** By segment register; null where a 16-bit TSS has none. */
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly trap: boolean;
}

export function readTask(attempt: Attempt, base: bigint, layout: TssLayout): TaskImage {
  const { size, segmentCount } = layout;
  const word = (at: number): bigint => attempt.readSystem(base + BigInt(at), size);
  const selector = (at: number): number => Number(attempt.readSystem(base + BigInt(at), 2));
  return {
    cr3: layout.cr3 === undefined ? undefined : word(layout.cr3),
    rip: word(layout.rip),
    rflags: word(layout.rflags),
    registers: Array.from({ length: 8 }, (_, n) => word(layout.registers + size * n)),
    selectors: TASK_SEGMENTS.map((_, n) =>
      n < segmentCount ? selector(layout.segments + size * n) : 0,
    ),
    ldt: selector(layout.ldt),
    trap: layout.trap !== undefined && (selector(layout.trap) & 1) !== 0,
  };
}

/** Saves the running task: all that `readTask` reads but CR3, the LDT and the trap bit, which do not change. */
export function writeTask(
  attempt: Attempt,
  base: bigint,
  layout: TssLayout,
  rip: bigint,
  rflags: bigint,
): void {
  const { size, segmentCount } = layout;
  const { state } = attempt;
  const word = (at: number, value: bigint): void =>
    attempt.writeSystem(base + BigInt(at), size, BigInt.asUintN(8 * size, value));
  word(layout.rip, rip);
  word(layout.rflags, rflags);
  for (let n = 0; n < 8; n++) word(layout.registers + size * n, state.gpr(n));
  for (const [n, index] of TASK_SEGMENTS.slice(0, segmentCount).entries())
    attempt.writeSystem(base + BigInt(layout.segments + size * n), 2, selectorOf(state, index));
}

const selectorOf = (state: CpuState, index: SegIndex): bigint =>
  BigInt(state.segment(index).selector);

/** DR7.L0…L3 and LE: breakpoints of one task only (SDM 3B 17.2.4). */
const LOCAL_BREAKPOINTS = 0x155n;
const DR7 = S.dr + 56;

export const dropLocalBreakpoints = (state: CpuState): void =>
  state.setU64(DR7, state.u64(DR7) & ~LOCAL_BREAKPOINTS);
