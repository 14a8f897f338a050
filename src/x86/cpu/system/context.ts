import type { Board, GuestFault } from "../board";
import type { LinearMemory } from "../linear-memory";
import type { CpuState } from "../state";
import type { CpuModel } from "./cpu-model";

/** All that the system half of a processor sees of the engine that runs it. */
export interface SystemContext {
  readonly state: CpuState;
  readonly board: Board;
  /** The board's announcements, but for an instruction it has stopped before already: it asks once. */
  readonly ask: Pick<Board, "beforeInvlpg" | "beforeControlWrite">;
  readonly mem: LinearMemory;
  /** What the processor claims to be: CPUID, and which bits of CR4, EFER and MSRs are reserved. */
  readonly model: CpuModel;
  /** Address of the instruction being executed, and of the one after it. */
  readonly rip: bigint;
  readonly nextRip: bigint;
  /** Drops the TLB; `keepGlobal` spares global translations (SDM 3A 4.10.4). */
  flushTlb(keepGlobal: boolean): void;
  flushTlbPage(va: bigint): void;
  /** Works `modeKey` out again: control registers, EFER, segments, CPL or RFLAGS.AC/VM changed. */
  stateChanged(): void;
}

/** Nothing has been committed; or, with `inNewTask`, a task switch, and the fault is the new task's. */
export interface FaultResult {
  readonly kind: "fault";
  readonly fault: GuestFault;
  readonly inNewTask?: true;
}

/**
 * Outcome of a system instruction. `undefined`: done, continue at `nextRip`.
 * `jumped`: `state.rip` holds the next instruction's address; `trapFlagAfter` says that a single-step
 * trap after this instruction depends on TF as it is now, not as it was before (SYSCALL, SYSRET, INT n).
 * Everything but `undefined`, `jumped`, `halt` and `pause` has committed nothing (but see `FaultResult`).
 */
export type SysResult =
  | undefined
  | { readonly kind: "jumped"; readonly trapFlagAfter?: boolean }
  | FaultResult
  /** The board asked for a stop before it happens. */
  | { readonly kind: "stop" }
  | { readonly kind: "halt" }
  | { readonly kind: "pause" };
