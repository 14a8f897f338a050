import type { Machine, StopReason } from "../../machine";
import { codeBits } from "../disassembly/code-bits";
import { decodeOne } from "../disassembly/iced";
import type { Symbols } from "../symbols/symbols";
import { stackTrace } from "../unwind/stack";

export type Granularity = "statement" | "line" | "instruction";
export type StepKind = "in" | "over" | "out";

/** Where the machine is moved from: breakpoints, with their conditions, belong to whoever implements it. */
export interface Execution {
  readonly machine: Machine;
  readonly symbols: Symbols;
  /** Runs at most `limit` instructions to a breakpoint that holds, or to `until`. */
  run(limit: number, until: bigint): StopReason;
}

/** Instructions stepped one by one, or run, before the adapter looks at its messages. */
const STEPS = 2_000;
const RUN = 500_000;

/**
 * One step of a person, done a slice at a time so that it can be paused. Breakpoints and events inside
 * it win. A CR3 load in the middle changes nothing: lines go by linear address, depth by the stack.
 */
export class Step {
  /** Rest of a call or handler to be run: until `rip` with the stack back at `rsp` or above. */
  private away: { readonly rip: bigint | undefined; readonly rsp: bigint } | undefined;
  private readonly low: bigint;
  private readonly high: bigint;

  constructor(
    private readonly execution: Execution,
    private readonly vcpu: number,
    private readonly kind: StepKind,
    private readonly granularity: Granularity,
  ) {
    const range = execution.symbols.stmtRange(this.rip);
    this.low = range?.low ?? this.rip;
    this.high = range?.high ?? this.rip + 1n;
    if (kind === "out") this.away = this.caller();
  }

  /** `undefined`: not there yet; kind "limit": the step is done; anything else came in between. */
  slice(): StopReason | undefined {
    for (let n = 0; n < STEPS; n++) {
      if (this.away?.rip !== undefined) {
        const reason = this.runAway(this.away.rip, this.away.rsp);
        if (reason !== "back") return reason;
      } else {
        const reason = this.one();
        if (reason.kind !== "limit") return reason;
        if (this.away) continue;
      }
      if (this.finished()) return { kind: "limit" };
    }
    return undefined;
  }

  /** Where the present frame returns to, and the stack pointer there. */
  private caller(): { readonly rip: bigint; readonly rsp: bigint } | undefined {
    const { machine, symbols } = this.execution;
    const [frame, caller] = stackTrace(machine, this.vcpu, symbols, 2).frames;
    if (!caller) return undefined;
    return { rip: caller.pc, rsp: frame?.kind === "interrupt" ? 0n : (frame?.cfa ?? 0n) };
  }

  private get state() {
    const state = this.execution.machine.vcpus[this.vcpu]?.state;
    if (!state) throw new Error(`there is no vCPU ${this.vcpu}`);
    return state;
  }
  private get rip(): bigint {
    return this.state.rip;
  }
  private get rsp(): bigint {
    return this.state.gpr(4);
  }

  /** Runs on towards the end of a call; "back" when it is reached. */
  private runAway(rip: bigint, rsp: bigint): StopReason | undefined | "back" {
    const reason = this.execution.run(RUN, rip);
    if (reason.kind === "limit") return undefined;
    if (reason.kind !== "breakpoint" || reason.address !== rip) return reason;
    // The same place deeper in a recursion, or on another vCPU, is not the end of this call.
    if (reason.vcpu !== this.vcpu || this.rsp < rsp) return undefined;
    this.away = undefined;
    return "back";
  }

  /** One instruction, or the start of a call or handler that is to be stepped over. */
  private one(): StopReason {
    const { machine } = this.execution;
    const before = { rip: this.rip, rsp: this.rsp };
    const code = machine.gva(this.vcpu).read(before.rip as never, 15); // a linear address by definition
    const insn = code.length > 0 ? decodeOne(codeBits(this.state), code, before.rip) : undefined;
    let entered = false;
    const off = machine.trace.on("exception", () => {
      entered = true;
    });
    const reason = machine.step(this.vcpu);
    off();
    if (reason.kind !== "limit") return reason;
    if (this.away) {
      // Inside a handler: IRET gives the stack pointer back exactly (SDM 3A 6.14.2).
      if (this.rsp >= this.away.rsp) this.away = undefined;
    } else if (entered && this.kind !== "in") {
      this.away = { rip: undefined, rsp: before.rsp };
    } else if (insn?.calls && this.stepsOver()) {
      const next = before.rip + BigInt(insn.length);
      if (this.rip !== next) this.away = { rip: next, rsp: before.rsp };
    }
    return reason;
  }

  /** Code without lines is stepped over even when a person asked to step in. */
  private stepsOver(): boolean {
    if (this.kind !== "in") return true;
    return this.granularity !== "instruction" && !this.execution.symbols.lineAt(this.rip);
  }

  private finished(): boolean {
    if (this.kind === "out" || this.granularity === "instruction") return true;
    const { rip } = this;
    if (rip >= this.low && rip < this.high) return false;
    const entry = this.execution.symbols.lineAt(rip);
    // Back in the middle of the caller's statement, go on to the next one that begins.
    return entry === undefined ? false : entry.statement;
  }
}
