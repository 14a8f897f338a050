import {
  Event,
  ExitedEvent,
  InvalidatedEvent,
  OutputEvent,
  TerminatedEvent,
} from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  missingInstruction,
  type Scope,
  type StackTrace,
  type Symbols,
  stackTrace,
  Views,
} from "../debug";
import { createMachine, type Machine, type MachineOptions } from "../machine";
import { Breakpoints } from "./breakpoints";
import type { Client } from "./client";
import { type FrameHandle, Handles, type VariablesHandle } from "./handles";
import type { LaunchArguments } from "./launch";
import type { StoppedBody } from "./protocol";
import { ReadReferences } from "./read-references";
import { type Refusal, refusals } from "./refusal";
import { type Halt, Runner, type Work } from "./runner";
import { describeHalt } from "./stop-text";
import type { Surroundings } from "./surroundings";

/** Instructions between two looks at the messages: some milliseconds. */
const CHUNK = 500_000;

/** What a debuggee is made with. */
export interface DebuggeeParts {
  readonly args: LaunchArguments;
  readonly options: MachineOptions;
  readonly symbols: Symbols;
  readonly client: Client;
  readonly surroundings: Surroundings;
  send(event: DebugProtocol.Event): void;
}

/** The machine under the debugger, with what is known of it at the present stop. */
export class Debuggee {
  readonly args: LaunchArguments;
  readonly symbols: Symbols;
  readonly client: Client;
  readonly runner: Runner;
  readonly frames = new Handles<FrameHandle>();
  readonly variables = new Handles<VariablesHandle>();
  readonly read = new ReadReferences();
  readonly breakpoints: Breakpoints;
  readonly views = new Views();
  /** The vCPU that caused the last stop: what an expression without a frame is about. */
  focus = 0;
  /** Why the guest last stopped; `undefined` before it first ran. */
  lastHalt: Halt | undefined;
  private stacks = new Map<number, StackTrace>();

  private constructor(
    private readonly parts: DebuggeeParts,
    public machine: Machine,
  ) {
    this.args = parts.args;
    this.symbols = parts.symbols;
    this.client = parts.client;
    this.breakpoints = new Breakpoints(this); // it asks for the machine when it needs it: a restart makes another
    this.runner = new Runner(
      parts.surroundings.defer,
      (halt) => this.halted(halt),
      (problem) => this.bug(problem),
    );
    this.attach();
  }

  static create(parts: DebuggeeParts): Debuggee | Refusal {
    const made = createMachine(parts.options);
    if (made.kind === "refused") return refusals.launch(made.text);
    return new Debuggee(parts, made.machine);
  }

  /** Another machine of the same make, at its first instruction. */
  replaceMachine(): Refusal | undefined {
    const made = createMachine(this.parts.options);
    if (made.kind === "refused") return refusals.launch(made.text);
    this.runner.dispose();
    this.machine = made.machine;
    this.focus = 0;
    this.lastHalt = undefined;
    this.attach();
    this.moved();
    return undefined;
  }

  dispose(): void {
    this.runner.dispose();
    this.breakpoints.dispose();
  }

  start(work: Work): void {
    this.moved();
    this.runner.start(work);
  }

  /** The work of `continue`. */
  run(): void {
    this.start(() => {
      const reason = this.breakpoints.run(CHUNK);
      return reason === "arrived" || reason.kind === "limit" ? undefined : reason;
    });
  }

  /** What an expression is about: a frame the client named, or the vCPU in focus. */
  scope(frame?: FrameHandle): Scope {
    const base = { machine: this.machine, symbols: this.symbols, vcpu: frame?.vcpu ?? this.focus };
    // The innermost frame is read afresh: a person may have set its registers.
    const now = frame?.isInnermost ? this.stack(frame.vcpu).frames[0] : frame?.frame;
    return now ? { ...base, frame: now } : base;
  }

  stack(vcpu: number): StackTrace {
    const known = this.stacks.get(vcpu) ?? stackTrace(this.machine, vcpu, this.symbols);
    this.stacks.set(vcpu, known);
    return known;
  }

  say(output: string, category: "console" | "stdout" | "important"): void {
    this.send(new OutputEvent(output, category));
  }

  log(text: string): void {
    this.say(`${text}\n`, "console");
  }

  send(event: DebugProtocol.Event): void {
    this.parts.send(event);
  }

  /**
   * A person wrote to registers or memory, or made the host act: what clients show may be stale, and the
   * views mark what came of it.
   */
  edited(): void {
    this.views.nextStop();
    this.stacks.clear();
    this.send(new InvalidatedEvent(["variables", "stacks"]));
    this.send(new Event("penumbra/stopped", this.stoppedBody()));
  }

  announceStop(reason: string, description: string): void {
    this.views.nextStop();
    const { ids, text = description } = this.breakpoints.takeHits();
    const body: DebugProtocol.StoppedEvent["body"] = {
      reason,
      threadId: this.focus + 1,
      description: text,
      text,
      allThreadsStopped: true,
      ...(ids.length > 0 ? { hitBreakpointIds: [...ids] } : {}),
    };
    this.send(new Event("stopped", body));
    this.send(new Event("penumbra/stopped", this.stoppedBody()));
    for (const event of this.read.all()) this.send(event);
  }

  private attach(): void {
    const decoder = new TextDecoder(); // a character may come in two pieces
    this.machine.onOutput((bytes) => this.say(decoder.decode(bytes, { stream: true }), "stdout"));
    this.breakpoints.attach();
  }

  private moved(): void {
    this.frames.clear();
    this.variables.clear();
    this.stacks.clear();
  }

  private halted(reached: Halt): void {
    const halt = this.writtenOut(reached);
    this.lastHalt = halt;
    if ("vcpu" in halt) this.focus = halt.vcpu;
    else if (halt.kind !== "step") this.focus = this.machine.current;
    this.moved();
    if (halt.kind === "exit") this.finished((halt.value << 1) | 1);
    else if (halt.kind === "poweroff") this.finished(0);
    else {
      const { reason, description } = describeHalt(halt, this.symbols);
      this.announceStop(reason, description);
    }
  }

  private writtenOut(halt: Halt): Halt {
    if (halt.kind !== "unimplemented") return halt;
    const state = this.machine.vcpus[halt.vcpu]?.state;
    return state ? { ...halt, text: missingInstruction(halt.text, state) } : halt;
  }

  private finished(status: number): void {
    this.log(`The guest ended with status ${status}.`);
    this.send(new ExitedEvent(status));
    this.send(new TerminatedEvent());
  }

  private stoppedBody(): StoppedBody {
    const { machine } = this;
    return {
      tick: machine.tick,
      vcpu: this.focus,
      mmu: machine.options.mmu,
      era: machine.options.era,
      unsync: machine.vm?.stats.mmu_unsync ?? 0,
    };
  }

  private bug(problem: unknown): void {
    const text = problem instanceof Error ? problem.message : String(problem);
    this.say(`${refusals.internal("run", text).text}\n`, "important");
    this.announceStop("exception", "Stopped by a bug in Penumbra");
  }
}
