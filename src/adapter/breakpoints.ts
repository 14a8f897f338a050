import {
  BreakpointSet,
  type Execution,
  type Gate,
  type Scope,
  type Symbols,
  stackTrace,
  type Until,
} from "../debug";
import type { Machine, StopReason } from "../machine";
import { FLAG, gva, SEG } from "../x86";

/** A breakpoint on code: a line, a function, an instruction. */
export interface CodeBreakpoint {
  readonly id: number;
  /** Empty for one that could not be placed. */
  readonly addresses: readonly bigint[];
  readonly gate: Gate;
}

/** The machine the breakpoints are for, and where log messages go. */
export interface BreakpointOwner {
  readonly machine: Machine;
  readonly symbols: Symbols;
  log(text: string): void;
}

type Arrival = StopReason & { readonly kind: "breakpoint" };

/**
 * All breakpoints of a session. Those on code are decided here, those on events by the `BreakpointSet`.
 * Each arrival at a breakpoint is decided once, whether the machine ran or was stepped to it.
 */
export class Breakpoints implements Execution {
  readonly events = new BreakpointSet();
  private readonly byGroup = new Map<string, readonly CodeBreakpoint[]>();
  private hits: readonly number[] = [];
  /** Why a condition could not be decided: said in place of the breakpoint. */
  private problem: string | undefined;
  private armed: ReadonlySet<bigint> = new Set();
  private nextId = 1;

  constructor(private readonly owner: BreakpointOwner) {}

  get machine(): Machine {
    return this.owner.machine;
  }
  get symbols(): Symbols {
    return this.owner.symbols;
  }

  /** Makes a new machine stop where the last one did; hits are counted from the start. */
  attach(): void {
    for (const { gate } of this.all()) gate.recount();
    this.events.attach(this.machine, this.symbols, (text) => this.owner.log(text));
    this.machine.setBreakpoints(this.armed);
  }

  dispose(): void {
    this.events.dispose();
  }

  newId(): number {
    return this.nextId++;
  }

  /** Replaces the breakpoints of one group: a file's lines, the functions, the instructions. */
  replace(group: string, breakpoints: readonly CodeBreakpoint[]): void {
    this.byGroup.set(group, breakpoints);
    this.armed = new Set(this.all().flatMap((b) => b.addresses));
    this.machine.setBreakpoints(this.armed);
  }

  /** The breakpoints that the last stop was at; asked once for each stop. */
  takeHits(): { readonly ids: readonly number[]; readonly text?: string } {
    const ids = [...this.hits, ...this.events.takeHits()];
    const { problem } = this;
    this.hits = [];
    this.problem = undefined;
    return problem === undefined ? { ids } : { ids, text: problem };
  }

  run(limit: number, until?: Until): StopReason | "arrived" {
    const { machine } = this;
    const end = machine.tick + limit;
    if (until) machine.setBreakpoints(new Set([...this.armed, ...until.addresses]));
    try {
      for (;;) {
        const reason = machine.run(end - machine.tick);
        if (reason.kind !== "breakpoint" || this.holds(reason)) return reason;
        if (until?.addresses.has(reason.address) && until.reached(reason.vcpu)) return "arrived";
      }
    } finally {
      if (until) machine.setBreakpoints(this.armed);
    }
  }

  step(vcpu: number): StopReason {
    for (;;) {
      const reason = this.machine.step(vcpu);
      if (reason.kind === "limit") return this.arrival(vcpu) ?? reason;
      // Another vCPU, which runs on meanwhile, came to a breakpoint.
      if (reason.kind !== "breakpoint" || this.holds(reason)) return reason;
    }
  }

  private arrival(vcpu: number): Arrival | undefined {
    const state = this.machine.vcpus[vcpu]?.state;
    if (!state) return undefined;
    const sum = BigInt.asUintN(32, state.segment(SEG.cs).base + state.rip);
    const reason: Arrival = {
      kind: "breakpoint",
      vcpu,
      address: gva(state.code64 ? state.rip : sum),
    };
    return this.armed.has(reason.address) && this.holds(reason) ? reason : undefined;
  }

  private holds({ vcpu, address }: Arrival): boolean {
    // A fault's handler came back: RF says the instruction was stopped at before (SDM 3B 17.3.1.1).
    if ((this.machine.vcpus[vcpu]?.state.rflags ?? 0n) & FLAG.RF) return false;
    const here = this.all().filter(({ addresses }) => addresses.includes(address));
    if (here.length === 0) return false;
    const scope = this.scope(vcpu);
    const stopping = here.filter(({ gate }) => {
      const decision = gate.decide(scope);
      if (decision.kind === "log") this.owner.log(decision.text);
      if (decision.kind === "stop") this.problem ??= decision.text;
      return decision.kind === "stop";
    });
    this.hits = stopping.map(({ id }) => id);
    return stopping.length > 0;
  }

  /** With the frame, so that a condition can name the locals of its function. */
  private scope(vcpu: number): Scope {
    const { machine, symbols } = this;
    const [frame] = stackTrace(machine, vcpu, symbols, 1).frames;
    return { machine, symbols, vcpu, ...(frame ? { frame } : {}) };
  }

  private all(): readonly CodeBreakpoint[] {
    return [...this.byGroup.values()].flat();
  }
}
