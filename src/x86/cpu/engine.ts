import { BlockCache, JumpCache } from "./blocks";
import type { Board, GuestFault } from "./board";
import { CodeFinder, type Found } from "./code-finder";
import { ACTIVITY, type EventOutcome, raise, takeEvent, wakes } from "./events";
import type { Insn } from "./insn";
import { FLAG, S, TLB_NONE, VCPU_BYTES } from "./layout";
import { RecordWriter } from "./lower";
import { MissHandler } from "./miss";
import { Modes } from "./mode";
import { EXIT, RECORD_BYTES } from "./record";
import { SlowStep } from "./slow-step";
import type { CpuModel } from "./system/cpu-model";
import { defaultModel } from "./system/cpu-model";
import { sysops } from "./system/sysops";
import { buildTier1, type Tier1 } from "./tier1";
import { clearNoneBank } from "./tlb";
import { missingText } from "./unimplemented";
import { sysopText, VcpuCore } from "./vcpu-core";
import { divide128 } from "./wide-divide";

export type { TlbView } from "./tlb";
export { VcpuCore };

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

/** Why a run is over; how much it retired is not said yet. */
type Ending = Omit<RunResult, "retired">;

/** Longest stretch of generated code: V8 only switches to its optimised version when `run` is entered anew. */
const LONGEST = 1 << 20;
const DB_SINGLE_STEP = 1 << 14;
const TF = Number(FLAG.TF);
const RF = Number(FLAG.RF);
const UD: GuestFault = { vector: 6 };
const GP0: GuestFault = { vector: 13, error: 0 };

const SOFTWARE_INTERRUPTS = new Set(["int", "int3", "int1", "into"]);

/** The module is the same for every engine of a process. */
let tier1: { readonly tier: Tier1; readonly module: WebAssembly.Module } | undefined;
function tier1Module(): { readonly tier: Tier1; readonly module: WebAssembly.Module } {
  if (!tier1) {
    const tier = buildTier1();
    tier1 = { tier, module: new WebAssembly.Module(tier.bytes) };
  }
  return tier1;
}

/** Runs vCPUs, one at a time, in one WebAssembly memory. */
export class Engine {
  private readonly bytes: Uint8Array;
  private readonly enterWasm: (header: number) => number;
  private readonly modes = new Modes();
  private readonly blocks: BlockCache;
  private readonly jumps: JumpCache;
  private readonly writer: RecordWriter;
  private readonly finder: CodeFinder;
  private readonly misses: MissHandler;
  private readonly vcpus: VcpuCore[] = [];
  private active: VcpuCore | undefined;
  /** Units given to generated code when it was entered; 0 outside. */
  private loaded = 0;
  private inWasm = false;
  private inMiss = false;
  /** Stores of a slow step are being delivered: its instruction does not count yet. */
  private delivering = false;

  constructor(readonly options: EngineOptions) {
    const { memory, arenaBase, arenaBytes } = options;
    const { tier, module } = tier1Module();
    this.bytes = new Uint8Array(memory.buffer);
    clearNoneBank(memory);
    this.writer = new RecordWriter(memory, tier.handlers);
    this.blocks = new BlockCache(arenaBase, arenaBytes, this.writer, (offset) => {
      for (const vcpu of this.vcpus) vcpu.tlb.withholdFrame(offset);
    });
    this.jumps = new JumpCache(memory);
    this.finder = new CodeFinder(this.blocks, this.jumps, this.writer, this.bytes);
    this.misses = new MissHandler(this.bytes, this.blocks, () => this.active!);
    const view = new DataView(memory.buffer);
    const { exports } = new WebAssembly.Instance(module, {
      env: {
        memory,
        miss: (kind: number) => {
          this.inMiss = true;
          const result = this.misses.miss(kind);
          this.inMiss = false;
          return result;
        },
        divide: (signed: number) => divide128(view, signed !== 0),
      },
    });
    this.enterWasm = exports.run as (header: number) => number;
  }

  addVcpu(board: Board, model?: CpuModel): VcpuCore {
    const index = this.vcpus.length;
    const { memory, parkBase } = this.options;
    const host = {
      memory,
      modes: this.modes,
      holdsCode: (offset: number) => this.blocks.holdsCode(offset),
      bytesWritten: (offset: number, length: number) => this.bytesWritten(offset, length),
      clearJumpCache: () => this.jumps.clear(),
      dropCode: () => this.blocks.dropAll(),
      barriersChanged: (vcpu: VcpuCore) => this.dropBarriers(new Set(vcpu.codeBreakpoints.keys())),
      unitsInFlight: (vcpu: VcpuCore) => (vcpu === this.active ? this.inFlight() : 0),
    };
    const vcpu = new VcpuCore(
      host,
      index,
      board,
      model ?? defaultModel(index),
      parkBase + index * VCPU_BYTES,
    );
    this.vcpus.push(vcpu);
    return vcpu;
  }

  /** Execution breakpoints by linear address; the one at the current rip is passed over once at the start of `run`. */
  setBreakpoints(linear: ReadonlySet<bigint>): void {
    this.dropBarriers(this.finder.setBreakpoints(linear));
  }
  private dropBarriers(linear: ReadonlySet<bigint>): void {
    this.blocks.dropAt(linear);
    for (const vcpu of this.vcpus) vcpu.dropJumps();
  }

  /** TypeScript (DMA, debugger, loader) wrote RAM at this offset of the wasm memory: drop decoded code of it. */
  bytesWritten(offset: number, length: number): void {
    if (!this.blocks.written(offset, length)) return;
    for (const vcpu of this.vcpus) vcpu.dropJumps();
  }

  /** Ends the run at hand before its next instruction: something needs the machine's attention. */
  endSlice(): void {
    this.misses.ending = true;
  }

  private inFlight(): number {
    if (this.delivering) return -1;
    if (!this.inWasm) return 0;
    const { state } = this.active!;
    const paid = this.loaded - (state.u32(S.budget) | 0);
    if (!this.inMiss) return paid;
    // The rest of the block is paid for already.
    const record = state.u32(S.exitRec);
    const block = this.blocks.blockOf(record);
    return paid - (block.insns.length - this.blocks.indexOf(block, record));
  }

  private activate(vcpu: VcpuCore): void {
    if (this.active === vcpu) return;
    const old = this.active;
    if (old) {
      this.bytes.copyWithin(old.parkAddress, 0, VCPU_BYTES);
      old.state.base = old.parkAddress;
    }
    this.bytes.copyWithin(0, vcpu.parkAddress, vcpu.parkAddress + VCPU_BYTES);
    this.active = vcpu;
    vcpu.state.base = 0;
    vcpu.stateChanged();
  }

  /** Never retires more than `budget`; budget 1 is a single step. */
  run(vcpu: VcpuCore, budget: number): RunResult {
    this.activate(vcpu);
    if (this.modes.crowded) this.renumberModes();
    this.misses.ending = false;
    this.finder.startAt(vcpu);
    const start = vcpu.retiredBase;
    const end = (why: RunWhy, text?: string): RunResult => ({
      why,
      retired: vcpu.retiredBase - start,
      ...(text === undefined ? {} : { text }),
    });
    for (;;) {
      const left = budget - (vcpu.retiredBase - start);
      if (left <= 0 || this.misses.ending) return end("budget");
      const idle = this.idle(vcpu);
      if (idle) return end(idle);
      const event = takeEvent(vcpu);
      const done = event ? this.eventDone(vcpu, event) : this.instructions(vcpu, left);
      if (done) return end(done.why, done.text);
    }
  }

  /** Decoded code and the jump cache name modes by number. */
  private renumberModes(): void {
    this.modes.clear();
    this.blocks.dropAll();
    this.jumps.clear();
    for (const each of this.vcpus) each.stateChanged();
  }

  private idle(vcpu: VcpuCore): RunWhy | undefined {
    const { state } = vcpu;
    const activity = state.u32(S.activity);
    if (activity === ACTIVITY.running) return undefined;
    if (activity === ACTIVITY.shutDown) return "shutdown";
    if (activity !== ACTIVITY.halted || !wakes(vcpu)) return "halt";
    state.setU32(S.activity, ACTIVITY.running);
    return undefined;
  }

  /** An event takes one unit, so that no run goes on for ever without retiring anything. */
  private eventDone(vcpu: VcpuCore, outcome: EventOutcome): Ending | undefined {
    if (outcome === "stop") return { why: "stop" };
    vcpu.retiredBase++;
    return outcome === "shutdown" ? { why: "shutdown" } : undefined;
  }

  /** Runs generated code from rip, at most `left` units, and handles the way it came out. */
  private instructions(vcpu: VcpuCore, left: number): Ending | undefined {
    const { state } = vcpu;
    const shadow = state.u32(S.shadow);
    const special = shadow !== 0 || (state.u32(S.rflags) & (TF | RF)) !== 0 || vcpu.careful;
    if (!special) {
      // A single step decodes no more than it runs.
      const entry = this.finder.find(vcpu, left === 1);
      if (entry.kind !== "enter") return this.notEntered(vcpu, entry);
      // A listener may have stopped the run while the instruction was fetched.
      if (this.misses.ending) return undefined;
      return this.execute(vcpu, entry.header, left);
    }
    // One instruction, under the interrupt shadow, with single-step, RF or checks on every access.
    const entry = this.finder.find(vcpu, true);
    if (entry.kind !== "enter") return this.notEntered(vcpu, entry);
    if (this.misses.ending) return undefined;
    const before = vcpu.retiredBase;
    const rflags = state.u64(S.rflags);
    state.setU32(S.shadow, 0);
    state.setU64(S.rflags, rflags & ~FLAG.RF);
    vcpu.debugHits = 0;
    if (vcpu.careful) state.setU32(S.tlbBank, TLB_NONE);
    this.trapFlag = (rflags & FLAG.TF) !== 0n;
    this.failed = undefined;
    const done = this.execute(vcpu, entry.header, 1);
    if (vcpu.retiredBase !== before && !this.failed) {
      const hits = vcpu.debugHits | (this.trapFlag ? DB_SINGLE_STEP : 0);
      if (hits) state.setU32(S.pendingDb, state.u32(S.pendingDb) | hits);
    } else if (done && done.why !== "shutdown") {
      // Stopped before it: as if it had never been tried.
      state.setU32(S.shadow, shadow);
      state.setU64(S.rflags, state.u64(S.rflags) | (rflags & FLAG.RF));
    }
    return done;
  }
  /** Whether the instruction at hand ends with a single-step trap. */
  private trapFlag = false;
  /** The instruction at hand ended in an event, so no trap follows it. */
  private failed: GuestFault | undefined;

  private notEntered(vcpu: VcpuCore, entry: Exclude<Found, { kind: "enter" }>): Ending | undefined {
    return entry.kind === "event" ? this.eventDone(vcpu, entry.outcome) : entry;
  }

  /** Enters generated code with a budget. A block longer than what is left is stopped inside. */
  private execute(vcpu: VcpuCore, header: number, left: number): Ending | undefined {
    const block = this.blocks.blockOf(header);
    const count = block.insns.length;
    if (count <= left) return this.leave(vcpu, this.enter(vcpu, header, Math.min(left, LONGEST)));
    const restore = this.writer.stopAt(header + (left + 1) * RECORD_BYTES);
    const code = this.enter(vcpu, header, count);
    restore();
    return this.leave(vcpu, code);
  }

  private enter(vcpu: VcpuCore, header: number, units: number): number {
    const { state } = vcpu;
    this.loaded = units;
    state.setU32(S.budget, units);
    this.inWasm = true;
    return -this.enterWasm(header);
  }

  /** Accounts for what ran. `unused`: units paid for by a block header but not run. */
  private settle(vcpu: VcpuCore, unused: number): void {
    const { state } = vcpu;
    const remaining = (state.u32(S.budget) | 0) + unused;
    state.setU32(S.budget, 0);
    this.inWasm = false;
    vcpu.retiredBase += this.loaded - remaining;
    this.loaded = 0;
  }

  /** Instruction of the exit record; settles the account up to it and sets rip to it. */
  private exitInsn(vcpu: VcpuCore): Insn {
    const record = vcpu.state.u32(S.exitRec);
    const block = this.blocks.blockOf(record);
    const index = this.blocks.indexOf(block, record);
    this.settle(vcpu, block.insns.length - index);
    const insn = block.insns[index]!;
    vcpu.state.rip = insn.ip;
    vcpu.insn = insn;
    return insn;
  }

  private leave(vcpu: VcpuCore, code: number): Ending | undefined {
    const { state } = vcpu;
    state.setU32(S.tlbBank, vcpu.dataBank);
    switch (code) {
      case EXIT.lookup:
        this.settle(vcpu, 0);
        this.finder.link(vcpu);
        return undefined;
      case EXIT.budget:
        this.budgetOver(vcpu);
        return undefined;
      case EXIT.changed:
        this.settle(vcpu, 0);
        vcpu.stateChanged();
        return undefined;
      case EXIT.sysop:
        return this.system(vcpu, this.exitInsn(vcpu));
      case EXIT.fault: {
        this.exitInsn(vcpu);
        const fault = this.takeFault(vcpu);
        this.failed = fault;
        return this.eventDone(vcpu, raise(vcpu, fault, "fault"));
      }
      case EXIT.slow:
        this.exitInsn(vcpu);
        // Emulation has begun at the board; it is finished even when the slice is to end.
        return this.misses.ending && !this.misses.emulate ? undefined : this.slowStep(vcpu);
      default:
        throw new Error(`generated code left with ${code}`);
    }
  }

  /** The fault of an exit: from `miss`, or raised by generated code. */
  private takeFault(vcpu: VcpuCore): GuestFault {
    const fromMiss = this.misses.fault;
    this.misses.fault = undefined;
    if (fromMiss) return fromMiss;
    const vector = vcpu.state.u32(S.faultVec);
    return vector === 13 ? { vector, error: vcpu.state.u32(S.faultErr) } : { vector };
  }

  /** The budget ended at a block header, or at the record where the slice stops. */
  private budgetOver(vcpu: VcpuCore): void {
    const record = vcpu.state.u32(S.exitRec);
    const block = this.blocks.blockOf(record);
    const index = this.blocks.indexOf(block, record);
    if (index < 0) {
      this.settle(vcpu, 0);
      vcpu.state.rip = block.ip;
      return;
    }
    this.settle(vcpu, block.insns.length - index);
    vcpu.state.rip = block.insns[index]!.ip;
  }

  private system(vcpu: VcpuCore, insn: Insn): Ending | undefined {
    switch (insn.kind) {
      case "undefined":
        return this.raiseAt(vcpu, UD);
      case "too-long":
        return this.raiseAt(vcpu, GP0);
      case "unimplemented":
        return this.missing(vcpu, missingText(insn, insn.ip));
      default:
        return this.sysop(vcpu, insn);
    }
  }
  private raiseAt(vcpu: VcpuCore, fault: GuestFault): Ending | undefined {
    this.failed = fault;
    return this.eventDone(vcpu, raise(vcpu, fault, "fault"));
  }

  /** Stops the debugger once, with the guest before the instruction; the next run gives the guest #UD. */
  private missing(vcpu: VcpuCore, text: string): Ending | undefined {
    const { rip } = vcpu.state;
    if (vcpu.reported === rip) {
      vcpu.reported = undefined;
      return this.raiseAt(vcpu, UD);
    }
    vcpu.reported = rip;
    return { why: "unimplemented", text };
  }

  private sysop(vcpu: VcpuCore, insn: Insn): Ending | undefined {
    const { state } = vcpu;
    const run = sysops[insn.name];
    if (!run) return this.missing(vcpu, missingText(insn, insn.ip));
    const result = run(vcpu.context, insn);
    vcpu.announced = result?.kind === "stop" ? sysopText(insn.ip) : undefined;
    switch (result?.kind) {
      case "fault":
        return this.raiseAt(vcpu, result.fault);
      case "stop":
        return { why: "stop" };
      default:
        break;
    }
    if (result?.kind !== "jumped") state.rip = insn.nextIp;
    else if (result.trapFlagAfter) this.trapFlag = (state.u64(S.rflags) & FLAG.TF) !== 0n;
    // An interrupt of the program's own clears TF; no trap follows (SDM 3B 17.3.1.4).
    if (SOFTWARE_INTERRUPTS.has(insn.name)) this.trapFlag = false;
    vcpu.retiredBase++;
    if (result?.kind === "halt") state.setU32(S.activity, ACTIVITY.halted);
    if (result?.kind === "pause") return { why: "pause" };
    return undefined;
  }

  /** The instruction at rip with every access bounced. */
  private slowStep(vcpu: VcpuCore): Ending | undefined {
    const entry = this.finder.find(vcpu, true, true);
    if (entry.kind !== "enter") return this.notEntered(vcpu, entry);
    const { misses } = this;
    const emulating = misses.emulate;
    misses.emulate = false;
    if (emulating) vcpu.announceEmulation();
    misses.step = new SlowStep(vcpu, this.bytes, emulating, (offset, length) =>
      this.bytesWritten(offset, length),
    );
    vcpu.state.setU32(S.tlbBank, TLB_NONE);
    const code = this.enter(vcpu, entry.header, 1);
    const { step } = misses;
    misses.step = undefined;
    const before = vcpu.retiredBase;
    const done = this.leave(vcpu, code);
    if (vcpu.retiredBase !== before && code !== EXIT.fault && code !== EXIT.slow) {
      this.delivering = true;
      step.commit();
      this.delivering = false;
    }
    return done;
  }
}
