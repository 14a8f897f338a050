import type { Machine, StopReason } from "../../machine";
import { gva } from "../../x86";
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

/** What an exception or interrupt broke off. */
interface Interrupted {
  readonly rsp: bigint;
  readonly cpl: number;
}

/** Bytes above the old stack pointer that are still taken for the same stack: a handler may pop for its caller. */
const SAME_STACK = 0x1000n;
const LONGEST = 15; // SDM 2A 2.3.11

/** Instructions stepped one by one, or run, before the adapter looks at its messages. */
const STEPS = 2_000;
const RUN = 500_000;

/**
 * One step of a person, done a slice at a time so that it can be paused. Breakpoints and events inside
 * it win. A CR3 load in the middle changes nothing: lines go by linear address, depth by the stack.
 */
export class Step {
  /** Rest of a call to be run: until `rip` with the stack back at `rsp` or above. */
  private away: { readonly rip: bigint; readonly rsp: bigint } | undefined;
  private handler: Interrupted | undefined;
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
      if (this.away) {
        const reason = this.runAway(this.away.rip, this.away.rsp);
        if (reason !== "back") return reason;
      } else {
        const reason = this.one();
        if (reason.kind !== "limit") return reason;
        if (this.away || this.handler) continue;
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
    if (this.handler) return this.inHandler(this.handler);
    const { rip, rsp } = this;
    const { cpl } = this.state;
    const code = machine.gva(this.vcpu).read(gva(rip), LONGEST);
    const insn = code.length > 0 ? decodeOne(codeBits(this.state), code, rip) : undefined;
    let entered = false;
    const enter = (): void => {
      entered = true;
    };
    // An interrupt is nobody's wish: it is stepped over even when a person asked to step in.
    const silent = machine.trace.on("kvm_inj_virq", enter);
    const wished = this.kind === "in" ? undefined : machine.trace.on("exception", enter);
    const reason = machine.step(this.vcpu);
    silent();
    wished?.();
    if (reason.kind !== "limit") return reason;
    if (entered) this.handler = { rsp, cpl };
    else if (insn?.calls && this.stepsOver()) {
      const next = rip + BigInt(insn.length);
      if (this.rip !== next) this.away = { rip: next, rsp };
    }
    return reason;
  }

  /** One instruction of a handler. IRET gives privilege and stack pointer back exactly (SDM 3A 6.14.2). */
  private inHandler({ rsp, cpl }: Interrupted): StopReason {
    const reason = this.execution.machine.step(this.vcpu);
    const { state } = this;
    // A handler on another stack may be above or below: back is where the old stack is in use again.
    const near = this.rsp >= rsp && this.rsp - rsp < SAME_STACK;
    if (state.cpl === cpl && near) this.handler = undefined;
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
