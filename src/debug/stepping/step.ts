import type { Machine, StopReason } from "../../machine";
import { gva } from "../../x86";
import { codeBits } from "../disassembly/code-bits";
import { decodeOne } from "../disassembly/iced";
import type { Symbols } from "../symbols/symbols";
import { stackTrace } from "../unwind/stack";

export type Granularity = "statement" | "line" | "instruction";
export type StepKind = "in" | "over" | "out";

/** Places to run to: `reached` tells whether this arrival at one of them is what is meant. */
export interface Until {
  readonly addresses: ReadonlySet<bigint>;
  reached(vcpu: number): boolean;
}

/** Where the machine is moved from: breakpoints, with their conditions, belong to whoever implements it. */
export interface Execution {
  readonly machine: Machine;
  readonly symbols: Symbols;
  /** Runs at most `limit` instructions: to a breakpoint that holds, or to `until`. */
  run(limit: number, until: Until): StopReason | "arrived";
  /** One instruction; kind "breakpoint" when it led to a breakpoint that holds. */
  step(vcpu: number): StopReason;
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
  /** The end of the call or handler that is being run. */
  private away: Until | undefined;
  /** The instruction that a fault or interrupt broke off: it is yet to be done. */
  private interrupted: bigint | undefined;
  /** The statement that is left; `undefined` for a step of one instruction, as in code without lines. */
  private readonly from: { readonly low: bigint; readonly high: bigint } | undefined;

  constructor(
    private readonly execution: Execution,
    private readonly vcpu: number,
    private readonly kind: StepKind,
    granularity: Granularity,
  ) {
    this.from = granularity === "instruction" ? undefined : execution.symbols.stmtRange(this.rip);
    if (kind === "out") this.away = this.caller();
  }

  /** `undefined`: not there yet; kind "limit": the step is done; anything else came in between. */
  slice(): StopReason | undefined {
    for (let n = 0; n < STEPS; n++) {
      if (this.away) {
        const reason = this.execution.run(RUN, this.away);
        if (reason !== "arrived") return reason.kind === "limit" ? undefined : reason;
        this.away = undefined;
        if (this.rip === this.interrupted) continue;
      } else {
        const { retired } = this.view;
        const reason = this.one();
        if (reason.kind !== "limit") return reason;
        // It is halted or not yet started, and the others ran: time for messages.
        if (this.view.retired === retired) return undefined;
        if (this.away) continue;
      }
      if (this.finished()) return { kind: "limit" };
    }
    return undefined;
  }

  /** Where the present frame returns to, and the stack pointer there. */
  private caller(): Until | undefined {
    const { machine, symbols } = this.execution;
    const [frame, caller] = stackTrace(machine, this.vcpu, symbols, 2).frames;
    if (!caller) return undefined;
    return this.back(caller.pc, frame?.kind === "interrupt" ? 0n : (frame?.cfa ?? 0n));
  }

  private get view() {
    const view = this.execution.machine.vcpus[this.vcpu];
    if (!view) throw new Error(`there is no vCPU ${this.vcpu}`);
    return view;
  }
  private get state() {
    return this.view.state;
  }
  private get rip(): bigint {
    return this.state.rip;
  }
  private get rsp(): bigint {
    return this.state.gpr(4);
  }

  /** The end of a call: the same place deeper in a recursion, or on another vCPU, is not it. */
  private back(address: bigint, rsp: bigint): Until {
    const reached = (vcpu: number): boolean => vcpu === this.vcpu && this.rsp >= rsp;
    return { addresses: new Set([address]), reached };
  }

  /**
   * The end of a handler: back in the code it broke off, at the same instruction, at the next, or at
   * any statement of that function, for a handler may resume elsewhere. IRET gives privilege and
   * stack pointer back exactly (SDM 3A 6.14.2).
   */
  private resumed(rip: bigint, next: bigint, rsp: bigint, cpl: number): Until {
    const addresses = new Set([rip, next, ...this.execution.symbols.statementsAround(rip)]);
    // A handler on another stack may be above or below: back is where the old stack is in use again.
    const isNear = (): boolean => this.rsp >= rsp && this.rsp - rsp < SAME_STACK;
    const reached = (vcpu: number): boolean =>
      vcpu === this.vcpu && this.state.cpl === cpl && isNear();
    return { addresses, reached };
  }

  /** One instruction, or the start of a call or handler that is to be stepped over. */
  private one(): StopReason {
    const { machine } = this.execution;
    const { rip, rsp } = this;
    const { cpl } = this.state;
    const code = machine.gva(this.vcpu).read(gva(rip), LONGEST);
    const insn = code.length > 0 ? decodeOne(codeBits(this.state), code, rip) : undefined;
    // One that was stopped before is not announced again when it is delivered.
    let entered = this.kind !== "in" && this.view.pending !== undefined;
    const enter = (): void => {
      entered = true;
    };
    // An interrupt is nobody's wish: it is stepped over even when a person asked to step in.
    const silent = machine.trace.on("kvm_inj_virq", enter);
    const wished = this.kind === "in" ? undefined : machine.trace.on("exception", enter);
    const reason = this.execution.step(this.vcpu);
    silent();
    wished?.();
    if (reason.kind !== "limit") return reason;
    const next = rip + BigInt(insn?.length ?? 1);
    this.interrupted = entered ? rip : undefined;
    if (entered) this.away = this.resumed(rip, next, rsp, cpl);
    else if (insn?.calls && this.rip !== next && this.stepsOver()) this.away = this.back(next, rsp);
    return reason;
  }

  /** Code without lines is stepped over even when a person asked to step in. */
  private stepsOver(): boolean {
    if (this.kind !== "in") return true;
    return this.from !== undefined && !this.execution.symbols.lineAt(this.rip);
  }

  private finished(): boolean {
    if (this.kind === "out" || !this.from) return true;
    const { rip } = this;
    if (rip >= this.from.low && rip < this.from.high) return false;
    const entry = this.execution.symbols.lineAt(rip);
    // Back in the middle of the caller's statement, go on to the next one that begins.
    return entry === undefined ? false : entry.statement;
  }
}
