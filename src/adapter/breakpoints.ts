import { BreakpointSet, type Execution, type Gate, type Scope, type Symbols } from "../debug";
import type { Machine, StopReason } from "../machine";

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

/** All breakpoints of a session. Those on code are decided here, those on events by the `BreakpointSet`. */
export class Breakpoints implements Execution {
  readonly events = new BreakpointSet();
  private readonly byGroup = new Map<string, readonly CodeBreakpoint[]>();
  private hits: readonly number[] = [];
  private armed: ReadonlySet<bigint> = new Set();
  private nextId = 1;

  constructor(private readonly owner: BreakpointOwner) {}

  get machine(): Machine {
    return this.owner.machine;
  }
  get symbols(): Symbols {
    return this.owner.symbols;
  }

  /** Makes a new machine stop where the last one did. */
  attach(): void {
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
    this.armed = new Set([...this.byGroup.values()].flat().flatMap((b) => b.addresses));
    this.machine.setBreakpoints(this.armed);
  }

  /** The breakpoints that the last stop was at; asked once for each stop. */
  takeHits(): readonly number[] {
    const hits = [...this.hits, ...this.events.takeHits()];
    this.hits = [];
    return hits;
  }

  /** Runs to `until`, to a breakpoint whose conditions hold, or to the limit. */
  run(limit: number, until?: bigint): StopReason {
    const { machine } = this;
    const end = machine.tick + limit;
    if (until !== undefined) machine.setBreakpoints(new Set([...this.armed, until]));
    let reason: StopReason;
    do {
      reason = machine.run(end - machine.tick);
    } while (reason.kind === "breakpoint" && reason.address !== until && !this.holds(reason));
    if (until !== undefined) machine.setBreakpoints(this.armed);
    return reason;
  }

  private holds({ vcpu, address }: StopReason & { readonly kind: "breakpoint" }): boolean {
    const scope: Scope = { machine: this.machine, symbols: this.symbols, vcpu };
    const here = [...this.byGroup.values()].flat().filter((b) => b.addresses.includes(address));
    const stopping = here.filter(({ gate }) => {
      const decision = gate.decide(scope);
      if (decision.kind === "log") this.owner.log(decision.text);
      if (decision.kind === "stop" && decision.text) this.owner.log(decision.text);
      return decision.kind === "stop";
    });
    this.hits = stopping.map(({ id }) => id);
    return stopping.length > 0;
  }
}
