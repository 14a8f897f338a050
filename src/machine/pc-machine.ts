import type { Vm } from "../kvm";
import {
  type CpuModel,
  type Engine,
  type Gpa,
  type Gva,
  gva,
  type PagingFeatures,
  pdpteTable,
  S,
  SEG,
  startup,
  Trace,
  type TraceEvent,
} from "../x86";
import { byteSpace } from "./byte-space";
import { Clock } from "./clock";
import { enterGuest } from "./entry-state";
import { linearPages } from "./guest-walk";
import type { HostControl } from "./host-control";
import type { BootImage } from "./loaders/boot-image";
import type { ByteSpace, Machine, MachineOptions, MachineState, StopReason } from "./machine";
import { OutputBuffer } from "./output-buffer";
import type { BoardHost } from "./pc-board";
import { PcDevices } from "./pc-devices";
import type { Platform } from "./platform";
import { hex } from "./refusal";
import { Scheduler } from "./scheduler";
import { ACTIVITY, type Signal } from "./signals";
import type { SlotControl } from "./slot-control";
import { MachineVcpu } from "./vcpu-view";

/** Instructions other vCPUs may run before `step` of one that cannot gives up. */
const STEP_PATIENCE = 1_000_000;
/** Timer events in a row that wake nobody: nothing ever will. */
const IDLE_PATIENCE = 10_000;
const DEFAULT_QUANTUM = 20_000;
/** Longest slice, so that a 32-bit budget holds it. */
const LONGEST_SLICE = 10_000_000;

/** What a machine is put together from. */
export interface MachineParts {
  readonly options: MachineOptions;
  readonly engine: Engine;
  readonly image: BootImage;
  readonly pagingFeatures: PagingFeatures;
  /** What the processor with this APIC id is. */
  model(apicId: number): CpuModel;
  platform(host: BoardHost): Platform;
}

/** The PC: vCPUs under one deterministic schedule, devices on virtual time, memory under them. */
export class PcMachine implements Machine, BoardHost {
  readonly options: MachineOptions;
  readonly pagingFeatures: PagingFeatures;
  readonly trace = new Trace();
  readonly vcpus: readonly MachineVcpu[];
  readonly devices: PcDevices;
  readonly platform: Platform;
  ended: StopReason | undefined;
  readonly gpa;
  readonly hpa;
  readonly hva;
  private readonly engine: Engine;
  private readonly clock = new Clock();
  private readonly scheduler: Scheduler;
  private readonly output = new OutputBuffer();
  private breakpoints: ReadonlySet<bigint> = new Set();
  /** Signals that reached a vCPU in the midst of a slice. */
  private signals: Signal[] = [];
  private stopEvent: { readonly event: TraceEvent; readonly text: string } | undefined;
  /** Set amid a slice by a device that ends the machine. */
  private ending: StopReason | undefined;
  /** Found amid a slice: a violated invariant, or why the hypervisor cannot go on. */
  private problem: StopReason | undefined;
  private running = 0;
  /** vCPU that has been entered and was stopped before its first instruction; -1 = none. */
  private entered = -1;

  constructor(parts: MachineParts) {
    const { options, engine } = parts;
    this.options = options;
    this.engine = engine;
    this.pagingFeatures = parts.pagingFeatures;
    this.devices = new PcDevices(options.memory, options.vcpus, this.trace, {
      now: () => this.clock.now,
      tscOffset: (vcpu) => this.vcpus[vcpu]?.state.u64(S.tscOffset) ?? 0n,
      changed: () => this.updatePins(),
      nmi: (vcpu) => this.raiseNmi(vcpu),
      init: (vcpu) => this.signal({ kind: "init", vcpu }),
      startup: (vcpu, vector) => this.signal({ kind: "startup", vcpu, vector }),
      output: (byte) => this.output.add(byte),
      exit: (value) => this.end({ kind: "exit", value }),
      powerOff: () => this.end({ kind: "poweroff" }),
      reset: (where) =>
        this.end({ kind: "shutdown", vcpu: this.running, text: `reset through ${where}` }),
      dropPage: (at) => this.platform.dropPage(at),
    });
    this.platform = parts.platform(this);
    this.vcpus = Array.from({ length: options.vcpus }, (_, id) => {
      const core = engine.addVcpu(this.platform.board(id), parts.model(id));
      core.reset();
      return new MachineVcpu(id, core);
    });
    this.scheduler = new Scheduler(this.vcpus, options.quantum ?? DEFAULT_QUANTUM);
    this.trace.stamp = () => ({
      vcpu: this.running,
      rip: this.vcpu(this.running).state.rip,
      tick: this.clock.tick,
    });
    this.devices.timers.onArmed = () => this.engine.endSlice();
    this.gpa = byteSpace(this.platform.gpa);
    this.hpa = byteSpace(this.platform.hpa);
    this.hva = byteSpace(this.platform.hva);
    this.begin(parts.image);
    for (const vcpu of this.vcpus) vcpu.noteControls();
  }

  /** The boot processor at the image's entry, the others waiting to be started. */
  private begin({ entry }: BootImage): void {
    for (const { id, core } of this.vcpus) {
      if (id === 0) enterGuest(core, entry);
      else core.state.setU32(S.activity, ACTIVITY.waitingForSipi);
      this.platform.attach(id, core, this.engine);
    }
    this.updatePins();
  }

  get vm(): Vm | undefined {
    return this.platform.vm;
  }
  get host(): HostControl | undefined {
    return this.platform.host;
  }
  get slots(): SlotControl | undefined {
    return this.platform.slots;
  }
  get exits(): Readonly<Record<string, number>> {
    return this.platform.exits;
  }
  get tick(): number {
    return this.clock.tick;
  }
  get current(): number {
    return this.scheduler.current;
  }
  now(): number {
    return this.clock.now;
  }
  get stopRequested(): boolean {
    return this.stopEvent !== undefined;
  }

  requestStop(event: TraceEvent, text: string): void {
    this.stopEvent ??= { event, text };
    this.engine.endSlice();
  }

  setBreakpoints(addresses: ReadonlySet<bigint>): void {
    this.breakpoints = new Set(addresses);
    this.engine.setBreakpoints(this.breakpoints);
  }

  run(limit: number): StopReason {
    return this.advance(this.tick + limit, () => false);
  }

  step(vcpu: number): StopReason {
    const target = this.vcpu(vcpu);
    const before = target.retired;
    return this.advance(this.tick + STEP_PATIENCE, () => target.retired !== before, vcpu);
  }

  /**
   * Runs until the clock shows `end`, or `done`, or something stops it. `stepped` runs one
   * instruction at a time; the schedule is the same.
   */
  private advance(end: number, done: () => boolean, stepped?: number): StopReason {
    // Only the vCPU that stands at a breakpoint now may pass it; others have yet to stop there.
    let passing = this.scheduler.current;
    for (const { id } of this.vcpus) this.takeRegisters(id);
    for (;;) {
      const over = this.between();
      if (over) return this.stop(over);
      if (done() || this.tick >= end) return this.stop({ kind: "limit" });
      if (!this.scheduler.choose()) {
        const idle = this.waitForTimer();
        if (idle) return this.stop(idle);
        continue;
      }
      const vcpu = this.vcpu(this.scheduler.current);
      if (vcpu.id !== passing && this.breakpoints.has(linearRip(vcpu)))
        return this.stop({ kind: "breakpoint", vcpu: vcpu.id, address: gva(linearRip(vcpu)) });
      const reason = this.slice(vcpu, stepped === vcpu.id ? this.tick + 1 : end);
      passing = -1;
      if (reason) return this.stop(reason);
    }
  }

  /** What is due between two slices; a reason to stop if there is one. */
  private between(): StopReason | undefined {
    this.devices.timers.runDue(this.now());
    this.takeSignals();
    if (this.ending) {
      this.ended = this.ending;
      this.ending = undefined;
    }
    if (this.ended) return this.ended;
    if (this.problem) return this.takeProblem();
    if (!this.stopEvent) return undefined;
    const reason: StopReason = { kind: "event", vcpu: this.running, ...this.stopEvent };
    this.stopEvent = undefined;
    return reason;
  }

  private takeProblem(): StopReason | undefined {
    const { problem } = this;
    this.problem = undefined;
    return problem;
  }

  runFailed(text: string): void {
    this.problem ??= { kind: "run-error", vcpu: this.running, text };
    this.engine.endSlice();
  }

  violated(violations: readonly string[]): void {
    this.problem ??= { kind: "invariant", vcpu: this.running, violations };
    this.engine.endSlice();
  }

  shutDown(vcpu: number, text: string): void {
    if (this.ending) return;
    this.vcpu(vcpu).state.setU32(S.activity, ACTIVITY.shutDown);
    this.trace.emit("triple_fault", {});
    this.end({ kind: "shutdown", vcpu, text });
  }

  private stop(reason: StopReason): StopReason {
    this.output.flush();
    for (const vcpu of this.vcpus) vcpu.noteControls();
    return reason;
  }

  /** While stopped a debugger may have written registers: what depends on them is worked out again. */
  private takeRegisters(id: number): void {
    const vcpu = this.vcpu(id);
    const old = vcpu.changedControls();
    if (old && !this.platform.controlsReplaced(id)) {
      const { cr3 } = vcpu.state;
      vcpu.setControls(old);
      const text = `the control registers are back to what they were: PAE paging would load a PDPTE with a reserved bit set from ${hex(pdpteTable(cr3))}, so mend it or choose another CR3`;
      this.problem ??= { kind: "run-error", vcpu: id, text };
    }
    vcpu.core.stateChanged();
  }

  /** Lets a vCPU run up to its turn's end, the next timer, or `end`. */
  private slice(vcpu: MachineVcpu, end: number): StopReason | undefined {
    const { scheduler, clock, devices } = this;
    const untilTimer = devices.timers.next - this.now();
    const budget = Math.min(scheduler.left, end - this.tick, untilTimer, LONGEST_SLICE);
    const before = vcpu.retired;
    this.running = vcpu.id;
    if (!this.enter(vcpu.id)) return undefined;
    clock.beginSlice(() => vcpu.retired - before);
    const { why, retired, text } = this.engine.run(vcpu.core, budget);
    clock.endSlice(retired);
    scheduler.spend(retired);
    if (retired > 0 && vcpu.activity === "halted") this.platform.halted(vcpu.id);
    switch (why) {
      case "budget":
      case "stop":
        return undefined;
      case "halt":
      case "pause":
        scheduler.yield();
        return undefined;
      case "breakpoint":
        return { kind: "breakpoint", vcpu: vcpu.id, address: gva(linearRip(vcpu)) };
      case "shutdown":
        this.shutDown(vcpu.id, "triple fault");
        return undefined;
      case "unimplemented":
        return { kind: "unimplemented", vcpu: vcpu.id, text: text ?? "not implemented" };
    }
  }

  /** Enters the guest; false when a listener stopped the run meanwhile. Then it is not done again. */
  private enter(vcpu: number): boolean {
    const entered = this.entered === vcpu;
    this.entered = -1;
    if (entered) return true;
    this.platform.beforeSlice(vcpu);
    if (!this.stopEvent && !this.problem && !this.ending) return true;
    this.entered = vcpu;
    return false;
  }

  /** Every vCPU is halted: time jumps on to what may wake one. A reason when nothing will. */
  private waitForTimer(): StopReason | undefined {
    const { timers } = this.devices;
    const mayWake = this.vcpus.some((vcpu) => vcpu.mayWake);
    for (let n = 0; mayWake && n < IDLE_PATIENCE && timers.next !== Infinity; n++) {
      this.clock.skipTo(timers.next);
      timers.runDue(this.now());
      if (this.vcpus.some((vcpu) => vcpu.canRun)) return undefined;
    }
    this.ended = { kind: "idle" };
    return this.ended;
  }

  private end(reason: StopReason): void {
    this.ending ??= reason;
    this.engine.endSlice();
  }

  private signal(signal: Signal): void {
    this.signals.push(signal);
    this.engine.endSlice();
  }

  private takeSignals(): void {
    for (const signal of this.signals) {
      const vcpu = this.vcpu(signal.vcpu);
      const { core, state } = vcpu;
      vcpu.noteControls();
      if (signal.kind === "init") {
        core.init();
        state.setU32(S.activity, ACTIVITY.waitingForSipi);
        this.devices.interrupts.apics[signal.vcpu]?.reset();
      } else if (state.u32(S.activity) === ACTIVITY.waitingForSipi) startup(state, signal.vector);
      this.takeRegisters(signal.vcpu);
    }
    this.signals = [];
  }

  private raiseNmi(vcpu: number): void {
    this.vcpu(vcpu).state.setU32(S.nmiPending, 1);
    this.engine.endSlice();
  }

  /** Puts each vCPU's interrupt pin where the controllers have it. */
  private updatePins(): void {
    for (const { id, state } of this.vcpus ?? []) {
      const level = this.devices.interrupts.pending(id) ? 1 : 0;
      if (state.u32(S.irqLine) === level) continue;
      state.setU32(S.irqLine, level);
      if (level) this.engine.endSlice();
    }
  }

  private vcpu(id: number): MachineVcpu {
    const vcpu = this.vcpus[id];
    if (!vcpu) throw new Error(`there is no vcpu ${id}`);
    return vcpu;
  }

  gva(vcpu: number, root?: Gpa): ByteSpace<Gva> {
    return byteSpace(linearPages(this, vcpu, root));
  }

  onOutput(listener: (bytes: Uint8Array) => void): () => void {
    return this.output.listen(listener);
  }

  input(bytes: Uint8Array): void {
    this.devices.serial.receive(bytes);
    if (this.ended?.kind === "idle") this.ended = undefined;
  }

  save(): MachineState {
    return {
      version: 1,
      parts: {
        clock: this.clock.save(),
        scheduler: this.scheduler.save(),
        devices: this.devices.save(),
        vcpus: this.vcpus.map(({ core }) => core.save()),
        platform: this.platform.save(),
        signals: [...this.signals],
        ended: this.ended,
      },
    };
  }

  restore({ parts }: MachineState): void {
    this.clock.restore(parts.clock);
    this.scheduler.restore(parts.scheduler);
    const cores = parts.vcpus as readonly unknown[];
    for (const { id, core } of this.vcpus) core.restore(cores[id]);
    this.devices.restore(parts.devices);
    this.platform.restore(parts.platform);
    this.signals = [...(parts.signals as readonly Signal[])];
    this.ended = parts.ended as StopReason | undefined;
    this.ending = undefined;
    this.stopEvent = undefined;
    this.problem = undefined;
    this.running = this.scheduler.current;
    this.entered = -1;
    for (const vcpu of this.vcpus) vcpu.noteControls();
  }
}

/** Address of the next instruction as breakpoints know it. */
function linearRip({ state }: MachineVcpu): bigint {
  const sum = state.segment(SEG.cs).base + state.rip;
  return state.code64 ? state.rip : BigInt.asUintN(32, sum);
}
