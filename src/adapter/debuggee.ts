import {
  Event,
  ExitedEvent,
  InvalidatedEvent,
  OutputEvent,
  TerminatedEvent,
} from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  type Annotate,
  type Evaluation,
  evaluate,
  type Frame,
  type Scope,
  type StackTrace,
  type Symbols,
  stackTrace,
  Views,
} from "../debug";
import { createMachine, type Machine, type MachineOptions } from "../machine";
import { Breakpoints } from "./breakpoints";
import { Handles } from "./handles";
import type { LaunchArguments } from "./launch";
import type { StoppedBody } from "./protocol";
import { type Refusal, refusals } from "./refusal";
import { type Halt, Runner, type Work } from "./runner";
import { describeHalt } from "./stop-text";
import type { Surroundings } from "./surroundings";

/** A frame a client holds a number for. */
export interface FrameHandle {
  readonly vcpu: number;
  readonly frame: Frame;
}
/** The parts of something, a range at a time. */
export type VariablesHandle = (start?: number, count?: number) => DebugProtocol.Variable[];

/** The machine under the debugger, with what is known of it at the present stop. */
export class Debuggee {
  readonly runner: Runner;
  readonly frames = new Handles<FrameHandle>();
  readonly variables = new Handles<VariablesHandle>();
  readonly breakpoints: Breakpoints;
  readonly views = new Views();
  machine: Machine;
  /** The vCPU that caused the last stop: what an expression without a frame is about. */
  focus = 0;
  lastHalt: Halt | undefined;
  private stacks = new Map<number, StackTrace>();

  private constructor(
    readonly args: LaunchArguments,
    private readonly options: MachineOptions,
    readonly symbols: Symbols,
    machine: Machine,
    surroundings: Surroundings,
    private readonly send: (event: DebugProtocol.Event) => void,
  ) {
    this.machine = machine;
    this.breakpoints = new Breakpoints(this); // it asks for the machine when it needs it: a restart makes another
    this.runner = new Runner(
      surroundings.defer,
      (halt) => this.halted(halt),
      (problem) => this.bug(problem),
    );
    this.attach();
  }

  static create(
    args: LaunchArguments,
    options: MachineOptions,
    symbols: Symbols,
    surroundings: Surroundings,
    send: (event: DebugProtocol.Event) => void,
  ): Debuggee | Refusal {
    const made = createMachine(options);
    if (made.kind === "refused") return refusals.launch(made.text);
    return new Debuggee(args, options, symbols, made.machine, surroundings, send);
  }

  /** The client has said what it had to say: stop at the first instruction, or run. */
  begin(): void {
    for (const image of this.symbols.images) {
      for (const problem of image.problems) this.say(`${problem}\n`, "console");
    }
    for (const command of this.args.init) this.say(`${this.print(command)}\n`, "console");
    if (this.args.stopOnEntry) this.announceStop("entry", "Stopped before the first instruction");
    else this.start(this.continuing());
  }

  /** The same guest from its first instruction; breakpoints stay. */
  restart(): Refusal | Record<string, never> {
    const made = createMachine(this.options);
    if (made.kind === "refused") return refusals.launch(made.text);
    this.runner.dispose();
    this.machine = made.machine;
    this.attach();
    this.moved();
    this.begin();
    return {};
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
  continuing(): Work {
    return { endsAs: "pause", slice: () => this.notLimit(this.breakpoints.run(CHUNK)) };
  }

  private notLimit(reason: ReturnType<Machine["run"]>) {
    return reason.kind === "limit" ? undefined : reason;
  }

  /** What an expression is about: a frame the client named, or the vCPU in focus. */
  scope(frameId?: number): Scope {
    const handle = frameId === undefined ? undefined : this.frames.get(frameId);
    const base = { machine: this.machine, symbols: this.symbols, vcpu: handle?.vcpu ?? this.focus };
    return handle ? { ...base, frame: handle.frame } : base;
  }

  evaluate(expression: string, frameId?: number): Evaluation {
    return evaluate(expression, this.scope(frameId));
  }

  stack(vcpu: number): StackTrace {
    const known = this.stacks.get(vcpu) ?? stackTrace(this.machine, vcpu, this.symbols);
    this.stacks.set(vcpu, known);
    return known;
  }

  /** How addresses are annotated wherever they are printed. */
  readonly annotate: Annotate = {
    address: (space, value) => {
      if (space === "gva") return this.symbols.describe(value);
      if (space !== "gpa") return undefined;
      const at = Number(value);
      const slot = this.machine.vm?.slots.find((s) => {
        const first = s.baseGfn * 4096;
        return at >= first && at < first + s.npages * 4096;
      });
      return slot && `slot ${slot.id} +0x${(at - slot.baseGfn * 4096).toString(16)}`;
    },
  };

  source(path: string): DebugProtocol.Source {
    return { name: path.split("/").at(-1) ?? path, path };
  }

  say(output: string, category: "console" | "stdout" | "important"): void {
    this.send(new OutputEvent(output, category));
  }

  log(text: string): void {
    this.say(`${text}\n`, "console");
  }

  sendEvent(event: DebugProtocol.Event): void {
    this.send(event);
  }

  /** A person wrote to registers or memory: what clients show may be stale. */
  edited(): void {
    this.stacks.clear();
    this.send(new InvalidatedEvent(["variables", "stacks"]));
    this.send(new Event("penumbra/stopped", this.stoppedBody()));
  }

  private attach(): void {
    this.machine.onOutput((bytes) => this.say(new TextDecoder().decode(bytes), "stdout"));
    this.breakpoints.attach();
  }

  private moved(): void {
    this.frames.clear();
    this.variables.clear();
    this.stacks.clear();
  }

  private halted(halt: Halt): void {
    this.lastHalt = halt;
    if ("vcpu" in halt) this.focus = halt.vcpu;
    else if (halt.kind !== "step") this.focus = this.machine.current;
    this.moved();
    if (this.machine.ended && (halt.kind === "exit" || halt.kind === "poweroff")) {
      this.finished(halt.kind === "exit" ? (halt.value << 1) | 1 : 0);
      return;
    }
    const { reason, description } = describeHalt(halt, this.machine);
    this.announceStop(reason, description);
  }

  private finished(status: number): void {
    this.say(`The guest ended with status ${status}.\n`, "console");
    this.send(new ExitedEvent(status));
    this.send(new TerminatedEvent());
  }

  private announceStop(reason: string, description: string): void {
    this.views.nextStop();
    const hitBreakpointIds = [...this.breakpoints.takeHits()];
    const event: DebugProtocol.StoppedEvent = Object.assign(new Event("stopped"), {
      body: {
        reason,
        threadId: this.focus + 1,
        description,
        text: description,
        allThreadsStopped: true,
        ...(hitBreakpointIds.length > 0 ? { hitBreakpointIds } : {}),
      },
    });
    this.send(event);
    this.send(new Event("penumbra/stopped", this.stoppedBody()));
  }

  private stoppedBody(): StoppedBody {
    const { machine } = this;
    return {
      tick: machine.tick,
      vcpu: this.focus,
      mmu: machine.options.mmu,
      unsync: machine.vm?.stats.mmu_unsync ?? 0,
    };
  }

  private print(command: string): string {
    const result = this.evaluate(command);
    return result.ok
      ? `${command} = ${result.value.kind}`
      : `${command}: ${result.problem.message}`;
  }

  private bug(problem: unknown): void {
    const text = problem instanceof Error ? problem.message : String(problem);
    this.say(`${refusals.internal("run", text).text}\n`, "important");
    this.announceStop("exception", "Stopped by a bug in Penumbra");
  }
}

/** Instructions between two looks at the messages: some milliseconds. */
const CHUNK = 1_000_000;
