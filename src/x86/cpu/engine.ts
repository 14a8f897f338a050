import type { Board } from "./board";
import type { CpuState } from "./state";

export interface EngineOptions {
  memory: WebAssembly.Memory;
  /** Where decoded code is kept. */
  arenaBase: number;
  arenaBytes: number;
  /** VCPU_BYTES per vCPU. */
  parkBase: number;
}

export type RunWhy =
  | "budget"
  | "halt"
  | "pause"
  | "breakpoint"
  | "stop"
  | "shutdown"
  | "unimplemented";

export interface RunResult {
  why: RunWhy;
  /** Units used: instructions retired, REP iterations, and one for each event delivered. */
  retired: number;
  /** For `unimplemented`: "not implemented: <disassembly or bytes> at <address>". */
  text?: string;
}

export class Engine {
  constructor(readonly options: EngineOptions) {}
  addVcpu(_board: Board): VcpuCore {
    throw new Error("not built yet");
  }
  /** Never retires more than `budget`; budget 1 is a single step. */
  run(_vcpu: VcpuCore, _budget: number): RunResult {
    throw new Error("not built yet");
  }
  /** Execution breakpoints by linear address; the one at the current rip is passed over once at the start of `run`. */
  setBreakpoints(_linear: ReadonlySet<bigint>): void {}
  /**
   * Called by a board method amid `run`: the run comes back, with why "budget", before the next
   * instruction. The machine does so when a timer was armed inside the slice or an interrupt came up.
   */
  endSlice(): void {}
  /** TypeScript (DMA, debugger, loader) wrote RAM at this offset of the wasm memory: drop decoded code of it. */
  bytesWritten(_offset: number, _length: number): void {}
}

export interface TlbView {
  bank: number;
  va: bigint;
  offset: number;
  allow: number;
  level: number;
  global: boolean;
}

export interface VcpuCore {
  readonly index: number;
  readonly board: Board;
  /** Wherever the struct is now: at 0 while running, else parked. */
  get state(): CpuState;
  /** Units used since power-on (as in `RunResult.retired`), exact also amid `run`, as board methods see it. */
  readonly retired: number;
  flushTlb(keepGlobal: boolean): void;
  /** INVLPG: all fragments of a large page, all banks. */
  flushTlbPage(va: bigint): void;
  tlbEntries(): readonly TlbView[];
  /** Power-on values. */
  reset(): void;
  /** After TypeScript changed registers, segments or control registers: recompute modeKey. */
  stateChanged(): void;
  /** Could take an external interrupt now (IF, shadow). */
  get interruptWindow(): boolean;
  save(): unknown;
  restore(saved: unknown): void;
}
