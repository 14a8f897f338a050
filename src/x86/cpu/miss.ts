import type { BlockCache } from "./blocks";
import { ACCESS, type GuestFault } from "./board";
import { S, SEG, SEG_BYTES, type SegIndex } from "./layout";
import { isCanonicalIn, segmentAllows } from "./operands";
import { EXIT, MISS } from "./record";
import type { SlowStep } from "./slow-step";
import type { CpuState } from "./state";
import { bankOf } from "./translate";
import type { VcpuCore } from "./vcpu-core";

const GP = 13;
const SS = 12;
const AC = 17;
const SLOTS = 16;
const SLOT_BYTES = 32;
/** Results that are exits. */
const SLOW = -EXIT.slow;
const FAULT = -EXIT.fault;

/**
 * What generated code asks when an access does not match the TLB. Answers with a host address, or says
 * how to leave: FAULT (the fault is in `fault`), or SLOW (nothing committed; run the instruction as a
 * slow step).
 */
export class MissHandler {
  fault: GuestFault | undefined;
  /** Set while an instruction runs as a slow step. */
  step: SlowStep | undefined;
  /** The board asked for emulation: the slow step to come uses it for every access. */
  emulate = false;
  /** Someone asked for the slice to end: leave before the instruction rather than finish it. */
  ending = false;
  private nextSlot = 0;

  constructor(
    private readonly memory: Uint8Array,
    private readonly blocks: BlockCache,
    private readonly vcpu: () => VcpuCore,
  ) {}

  miss(kind: number): number {
    const vcpu = this.vcpu();
    const { state } = vcpu;
    this.pointAtInstruction(state);
    const bytes = kind & MISS.bytes;
    const write = (kind & MISS.write) !== 0;
    let va = state.u64(S.faultVa);
    // Both halves of 48-bit space at a glance; the rest with care.
    const top = state.u32(S.faultVa + 4) >>> 15;
    const plain = (top === 0 || top === 0x1ffff) && (state.u32(S.faultVa) & 0xfff) <= 4064;
    if (!plain && !(isCanonicalIn(state, va) && isCanonicalIn(state, va + BigInt(bytes - 1)))) {
      const checked = this.checkSegment(vcpu, va, kind);
      if (typeof checked !== "bigint") return this.raise(checked);
      va = checked;
    }
    if (vcpu.checksAlignment && va & BigInt(bytes - 1) && (bytes & (bytes - 1)) === 0)
      return this.raise({ vector: AC, error: 0 });
    const access = (vcpu.mode.user ? ACCESS.user : 0) | (write ? ACCESS.write : 0);
    if (this.step) return this.stepAccess(vcpu, va, bytes, access, (kind & MISS.reads) !== 0);
    const host = this.plain(vcpu, va, bytes, access);
    if (host < 0) return host;
    // A listener stopped the run while the board handled this: nothing is committed yet.
    if (this.ending) return SLOW;
    vcpu.noteAccess(va, bytes, write);
    return host;
  }

  /** Generated code keeps rip at the block it entered; the board is to see the instruction. */
  private pointAtInstruction(state: CpuState): void {
    const record = state.u32(S.exitRec);
    const block = this.blocks.blockOf(record);
    const insn = block.insns[this.blocks.indexOf(block, record)];
    if (insn) state.rip = insn.ip;
  }

  private raise(fault: GuestFault): number {
    this.fault = fault;
    return FAULT;
  }

  /** The address after `va` in its address space. */
  private readonly following = (va: bigint, by: number): bigint =>
    BigInt.asUintN(this.vcpu().mode.bits === 64 ? 64 : 32, va + BigInt(by));

  /**
   * A non-canonical address in 64-bit code, or, outside it, the mark that the quick segment check failed.
   * Gives the fault, or the linear address if the segment allows the access after all.
   */
  private checkSegment(vcpu: VcpuCore, va: bigint, kind: number): bigint | GuestFault {
    const { state } = vcpu;
    if (vcpu.mode.bits === 64) {
      return { vector: this.usesStackSegment(kind) ? SS : GP, error: 0 };
    }
    if (va < 1n << 32n) return va;
    const segment = ((state.u32(S.segmentAt) - S.seg) / SEG_BYTES) as SegIndex;
    const offset = state.u64(S.segmentOffset);
    const write = (kind & MISS.write) !== 0;
    if (!segmentAllows(state, segment, offset, kind & MISS.bytes, write))
      return { vector: segment === SEG.ss ? SS : GP, error: 0 };
    return BigInt.asUintN(32, offset + state.u64(S.seg + SEG_BYTES * segment));
  }

  private usesStackSegment(kind: number): boolean {
    if (kind & MISS.stack) return true;
    const record = this.vcpu().state.u32(S.exitRec);
    const block = this.blocks.blockOf(record);
    const insn = block.insns[this.blocks.indexOf(block, record)];
    return (
      insn?.operands.some(
        ({ kind, ...rest }) => kind === "mem" && "segment" in rest && rest.segment === SEG.ss,
      ) ?? false
    );
  }

  private plain(vcpu: VcpuCore, va: bigint, bytes: number, access: number): number {
    const crosses = Number(va & 0xfffn) + bytes > 4096;
    if (!crosses) return this.one(vcpu, va, bytes, access);
    return access & ACCESS.write ? SLOW : this.gather(vcpu, va, bytes, access);
  }

  /** An access inside one page. */
  private one(vcpu: VcpuCore, va: bigint, bytes: number, access: number): number {
    const target = vcpu.translator.ask(va, access);
    switch (target.kind) {
      case "fault":
        return this.raise(target.fault!);
      case "device":
        return SLOW;
      case "emulated":
        this.emulate = true;
        return SLOW;
      default:
        return access & ACCESS.write
          ? this.store(vcpu, va, bytes, access, target.offset)
          : target.offset;
    }
  }

  /** A store to a frame with decoded code goes straight through unless it hits decoded bytes. */
  private store(vcpu: VcpuCore, va: bigint, bytes: number, access: number, offset: number): number {
    const page = this.blocks.pageAt(offset - (offset % 4096));
    const from = offset % 4096;
    if (page?.holdsCode(from, from + bytes)) return SLOW;
    if (!page) {
      const low = Number(va & 0xffff_ffffn);
      vcpu.tlb.setWithheld(bankOf(vcpu.state, access), low, false);
    }
    return offset;
  }

  /** A load across a page boundary, collected in a bounce slot. */
  private gather(vcpu: VcpuCore, va: bigint, bytes: number, access: number): number {
    const first = 4096 - Number(va & 0xfffn);
    const low = this.one(vcpu, va, first, access);
    if (low < 0) return low;
    const high = this.one(vcpu, this.following(va, first), bytes - first, access);
    if (high < 0) return high;
    const slot = S.bounce + (this.nextSlot++ % SLOTS) * SLOT_BYTES;
    this.memory.copyWithin(slot, low, low + first);
    this.memory.copyWithin(slot + first, high, high + bytes - first);
    return slot;
  }

  private stepAccess(
    vcpu: VcpuCore,
    va: bigint,
    bytes: number,
    access: number,
    reads: boolean,
  ): number {
    const outcome = this.step!.access(va, bytes, access, reads, this.following);
    if (typeof outcome !== "number") return this.raise(outcome);
    vcpu.noteAccess(va, bytes, (access & ACCESS.write) !== 0);
    return outcome;
  }
}
