import { buildBlock } from "./block-builder";
import type { Block, BlockCache, JumpCache } from "./blocks";
import type { GuestFault } from "./board";
import { type EventOutcome, raise } from "./events";
import type { FramePort } from "./fetch";
import { FLAG, S } from "./layout";
import type { RecordWriter } from "./lower";
import { isCanonicalIn } from "./operands";
import { RECORD } from "./record";
import type { VcpuCore } from "./vcpu-core";

/** What stands at rip: code to enter, an event that came instead, or a reason to end the run. */
export type Found =
  | { readonly kind: "enter"; readonly header: number }
  | { readonly kind: "event"; readonly outcome: EventOutcome }
  | { readonly kind: "end"; readonly why: "breakpoint" }
  | { readonly kind: "end"; readonly why: "unimplemented"; readonly text: string };

const GENERAL_PROTECTION: GuestFault = { vector: 13, error: 0 };
const DB = 1;

/** Linear address of rip. */
export function linearRip(vcpu: VcpuCore): bigint {
  const { bits, csBase } = vcpu.mode;
  return BigInt.asUintN(bits === 64 ? 64 : 32, vcpu.state.rip + csBase);
}

/** Finds the code at rip, decoding it when need be, past breakpoints and fetch faults. */
export class CodeFinder {
  /** Debugger's execution breakpoints, by linear address. */
  private breakpoints: ReadonlySet<bigint> = new Set();
  /** Breakpoint that the present run starts on and passes over. */
  private passing: bigint | undefined;

  constructor(
    private readonly blocks: BlockCache,
    private readonly jumps: JumpCache,
    private readonly writer: RecordWriter,
    private readonly bytes: Uint8Array,
  ) {}

  /** Returns the addresses that were none before. */
  setBreakpoints(linear: ReadonlySet<bigint>): ReadonlySet<bigint> {
    const added = new Set([...linear].filter((address) => !this.breakpoints.has(address)));
    this.breakpoints = new Set(linear);
    return added;
  }

  /** A run starts: the breakpoint it stands on does not stop it again. */
  startAt(vcpu: VcpuCore): void {
    this.passing = this.breakpoints.size > 0 ? linearRip(vcpu) : undefined;
  }

  /** The block at rip, or one of a single instruction. `again`: breakpoints here were looked at already. */
  find(vcpu: VcpuCore, single: boolean, again = false): Found {
    const { state } = vcpu;
    const low = state.u32(S.rip);
    const high = state.u32(S.rip + 4);
    if (!single) {
      const header = this.jumps.get(low, high, vcpu.jumpKey);
      if (header !== 0) return { kind: "enter", header };
    }
    const known = this.plain(vcpu, low, high, single);
    if (known) {
      if (!single) this.jumps.set(low, high, vcpu.jumpKey, known.header);
      return { kind: "enter", header: known.header };
    }
    const linear = linearRip(vcpu);
    const stopped = again ? undefined : this.breakpointAt(vcpu, linear);
    if (stopped) return stopped;
    const block = this.blockAt(vcpu, linear, single);
    if ("kind" in block) return block;
    if (!single && !this.isBarrier(vcpu, linear))
      this.jumps.set(low, high, vcpu.jumpKey, block.header);
    return { kind: "enter", header: block.header };
  }

  /** The usual case at a glance: nothing to stop at anywhere, the page translated, its code decoded. */
  private plain(vcpu: VcpuCore, low: number, high: number, single: boolean): Block | undefined {
    const { mode } = vcpu;
    if (this.breakpoints.size > 0 || vcpu.codeBreakpoints.size > 0 || mode.csBase !== 0n)
      return undefined;
    const frame = vcpu.tlb.lookupCode(mode.user, low, high);
    const block = frame < 0 ? undefined : this.blocks.find(frame, low, high, mode, single);
    return block?.crosses ? undefined : block;
  }

  private breakpointAt(vcpu: VcpuCore, linear: bigint): Found | undefined {
    if (linear === this.passing) this.passing = undefined;
    else if (this.breakpoints.has(linear)) return { kind: "end", why: "breakpoint" };
    const hit = vcpu.codeBreakpoints.get(linear) ?? 0;
    if (!hit || vcpu.state.u64(S.rflags) & FLAG.RF) return undefined;
    const outcome = raise(vcpu, { vector: DB, dr6: hit }, "fault", false);
    return { kind: "event", outcome };
  }

  private blockAt(vcpu: VcpuCore, linear: bigint, single: boolean): Block | Found {
    const { mode } = vcpu;
    const { rip } = vcpu.state;
    if (mode.bits === 64 && !isCanonicalIn(vcpu.state, rip))
      return this.raised(vcpu, GENERAL_PROTECTION);
    const port = this.port(vcpu);
    const frame = port(linear);
    if (frame.kind === "fault") return this.raised(vcpu, frame.fault);
    if (frame.kind === "device") return fetchFromDevice(rip);
    const low = vcpu.state.u32(S.rip);
    const high = vcpu.state.u32(S.rip + 4);
    const known = this.blocks.find(frame.offset, low, high, mode, single);
    // The second page of an instruction across a boundary may be another one by now.
    if (known && (!known.crosses || this.secondFrame(vcpu, port, linear) === known.secondFrame))
      return known;
    const built = buildBlock(this.blocks, this.bytes, port, {
      mode,
      ip: rip,
      linear,
      offset: frame.offset,
      single,
      isBarrier: (address) => this.isBarrier(vcpu, address),
    });
    if (built.kind === "fault") return this.raised(vcpu, built.fault);
    return built.kind === "device" ? fetchFromDevice(rip) : built.block;
  }

  private secondFrame(vcpu: VcpuCore, port: FramePort, linear: bigint): number {
    const next = ((linear >> 12n) + 1n) << 12n;
    const found = port(BigInt.asUintN(vcpu.mode.bits === 64 ? 64 : 32, next));
    return found.kind === "frame" ? found.offset : -1;
  }

  private raised(vcpu: VcpuCore, fault: GuestFault): Found {
    return { kind: "event", outcome: raise(vcpu, fault, "fault") };
  }

  private isBarrier(vcpu: VcpuCore, linear: bigint): boolean {
    return this.breakpoints.has(linear) || vcpu.codeBreakpoints.has(linear);
  }

  private port(vcpu: VcpuCore): FramePort {
    return (linear) => {
      const target = vcpu.translator.code(linear, vcpu.mode.user, () => vcpu.dropJumps());
      if (target.kind === "fault") return { kind: "fault", fault: target.fault! };
      if (target.kind === "device") return { kind: "device", gpa: target.gpa };
      return { kind: "frame", offset: target.offset };
    };
  }

  /** Patches the branch that generated code left by, if its target is in the same page with nothing to look at before. */
  link(vcpu: VcpuCore): void {
    const { state } = vcpu;
    const record = state.u32(S.exitRec);
    if (record === 0) return;
    const source = this.blocks.blockOf(record);
    const linear = linearRip(vcpu);
    if (source.linear >> 12n !== linear >> 12n || source.crosses) return;
    if (this.isBarrier(vcpu, linear)) return;
    const low = state.u32(S.rip);
    const high = state.u32(S.rip + 4);
    const target = this.blocks.find(source.page.offset, low, high, vcpu.mode, false);
    if (!target || target.crosses) return;
    const operand = source.insns.at(-1)!.operands[0];
    const taken = operand?.kind !== "rel" || operand.target === state.rip;
    this.writer.link(record, taken ? RECORD.taken : RECORD.fallThrough, target.header);
  }
}

function fetchFromDevice(rip: bigint): Found {
  const text = `not implemented: instruction fetch from device memory at 0x${rip.toString(16)}`;
  return { kind: "end", why: "unimplemented", text };
}
