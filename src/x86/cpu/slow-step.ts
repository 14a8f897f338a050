import { ACCESS, type GuestFault } from "./board";
import { deviceRead, StoreBuffer } from "./guest-memory";
import { S } from "./layout";
import type { Target } from "./translate";
import type { VcpuCore } from "./vcpu-core";

const SLOTS = 16;
const SLOT_BYTES = 32;

/** A store of the step: taken from its bounce slot when the instruction is done. */
interface SlotStore {
  readonly slot: number;
  readonly parts: readonly {
    readonly target: Target;
    readonly at: number;
    readonly length: number;
  }[];
}

/**
 * One instruction run with every access bounced: loads are fetched into a slot before generated code
 * reads it, stores are delivered from their slots once the instruction has retired. Used for devices,
 * stores to decoded code, stores across pages, and accesses that the board wants emulated.
 */
export class SlowStep {
  private next = 0;
  private stores: SlotStore[] = [];
  private readonly buffer: StoreBuffer;

  constructor(
    private readonly vcpu: VcpuCore,
    private readonly memory: Uint8Array,
    /** All accesses through the board's emulation. */
    readonly emulating: boolean,
    onWrite: (offset: number, length: number) => void,
  ) {
    this.buffer = new StoreBuffer(vcpu.board, memory, onWrite);
  }

  /** Address of a free slot. */
  private slot(): number {
    const at = S.bounce + (this.next % SLOTS) * SLOT_BYTES;
    this.next++;
    return at;
  }

  /** Slot for an access, or the fault it meets. `reads`: a store that first looks at what is there. */
  access(
    va: bigint,
    bytes: number,
    access: number,
    reads: boolean,
    following: (va: bigint, by: number) => bigint,
  ): number | GuestFault {
    const inPage = 4096 - Number(va & 0xfffn);
    const lengths = bytes <= inPage ? [bytes] : [inPage, bytes - inPage];
    const parts: { target: Target; at: number; length: number }[] = [];
    let at = 0;
    for (const length of lengths) {
      const where = at === 0 ? va : following(va, at);
      const target = this.vcpu.translator.data(where, access, this.emulating);
      if (target.kind === "fault") return target.fault!;
      parts.push({ target: { ...target }, at, length });
      at += length;
    }
    const slot = this.slot();
    const write = (access & ACCESS.write) !== 0;
    if (!write || reads) for (const part of parts) this.fill(slot, part);
    if (write) this.stores.push({ slot, parts });
    return slot;
  }

  private fill(slot: number, part: { target: Target; at: number; length: number }): void {
    const { target, at, length } = part;
    const bytes =
      target.kind === "device"
        ? deviceRead(this.vcpu.board, target.gpa, length)
        : this.memory.slice(target.offset, target.offset + length);
    this.memory.set(bytes, slot + at);
  }

  /** Delivers the stores, in the order the instruction made them. */
  commit(): void {
    for (const { slot, parts } of this.stores)
      for (const { target, at, length } of parts)
        this.buffer.add(target, this.memory.slice(slot + at, slot + at + length));
    this.buffer.commit();
  }
}
