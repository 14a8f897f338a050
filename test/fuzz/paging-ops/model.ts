import {
  ACCESS,
  type Entry,
  type ExchangeOutcome,
  type Gpa,
  gpa,
  type PagingControls,
  type TablePort,
  WalkResult,
  type WalkRules,
  walk,
  walkAccess,
  walkRules,
} from "../../../src/x86";
import { FEATURES } from "../../kvm/guest";
import type { Outcome } from "../../kvm/scripted-vcpu";

/** A range of guest physical memory over pages of the backing store. */
export interface ModelSlot {
  readonly id: number;
  readonly base: number;
  readonly pages: number;
  readonly backing: number;
  readonly readonly: boolean;
}

export interface ModelRegisters extends PagingControls {
  readonly cr3: bigint;
  readonly ac: boolean;
}

/**
 * The plain machine: guest tables walked for every access, no TLB, no hypervisor. What it shows is
 * what a guest may rely on once it has flushed what it changed.
 */
export class Model implements TablePort<Gpa> {
  readonly slots: ModelSlot[] = [];
  /** Frames written since the set was last emptied. */
  readonly written = new Set<number>();
  readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly result = new WalkResult<Gpa>();
  private readonly rules = new Map<string, WalkRules>();

  constructor(pages: number) {
    this.bytes = new Uint8Array(pages * 4096);
    this.view = new DataView(this.bytes.buffer);
  }

  private rulesOf({ cr0, cr4, efer }: PagingControls): WalkRules {
    const key = `${cr0} ${cr4} ${efer}`;
    const known = this.rules.get(key);
    if (known) return known;
    const made = walkRules({ cr0, cr4, efer }, FEATURES);
    this.rules.set(key, made);
    return made;
  }

  /** Offset of a frame in the backing store; -1 when no slot has it. */
  offsetOf(frame: number): number {
    const slot = this.slotOf(frame);
    return slot ? (slot.backing + frame - slot.base) * 4096 : -1;
  }
  isReadonly(frame: number): boolean {
    return this.slotOf(frame)?.readonly ?? false;
  }
  private slotOf(frame: number): ModelSlot | undefined {
    return this.slots.find((slot) => frame >= slot.base && frame < slot.base + slot.pages);
  }

  load(at: Gpa, _bytes: 4 | 8, entry: Entry): boolean {
    const offset = this.offsetOf(Math.floor(at / 4096));
    if (offset < 0) return false;
    entry.lo = this.view.getUint32(offset + (at % 4096), true);
    entry.hi = this.view.getUint32(offset + (at % 4096) + 4, true);
    return true;
  }
  exchange(at: Gpa, _bytes: 4 | 8, _expected: Entry, desired: Entry): ExchangeOutcome {
    const frame = Math.floor(at / 4096);
    if (this.isReadonly(frame)) return "read-only";
    const offset = this.offsetOf(frame) + (at % 4096);
    this.view.setUint32(offset, desired.lo, true);
    this.view.setUint32(offset + 4, desired.hi, true);
    this.written.add(frame);
    return "done";
  }

  access(registers: ModelRegisters, cpl: number, va: bigint, kind: number, value: bigint): Outcome {
    const access = kind | (cpl === 3 ? ACCESS.user : 0);
    const root = gpa(Number(registers.cr3 & 0xffffffffff000n));
    const rules = this.rulesOf(registers);
    const { result } = this;
    walk(rules, root, va, walkAccess(access, registers.ac), this, result);
    if (result.kind === "fault") return { kind: "fault", error: result.error, cr2: va };
    return this.touch(result.frame, Number(va & 0xfffn), access, value);
  }

  /** Reads or writes 8 bytes of a frame. */
  touch(frame: number, at: number, access: number, value: bigint): Outcome {
    const offset = this.offsetOf(frame);
    const write = (access & ACCESS.write) !== 0;
    if (offset < 0 || (write && this.isReadonly(frame)))
      return { kind: "device", gpa: frame * 4096 + at };
    if (write) {
      this.view.setBigUint64(offset + at, value, true);
      this.written.add(frame);
    }
    return { kind: "ok", value: this.view.getBigUint64(offset + at, true), emulated: false };
  }

  /** Addresses of the entries that translate `va` under these registers, whatever the rights; changes nothing. */
  path(registers: ModelRegisters, va: bigint): number[] {
    const result = this.look(registers, va);
    const entries: number[] = [];
    for (let level = result.top; level >= result.level && level > 0; level--)
      entries.push(result.entryAt(level));
    return entries;
  }

  /** gpa of `va`, whatever the rights; -1 where nothing is mapped. Changes nothing. */
  translate(registers: ModelRegisters, va: bigint): number {
    const result = this.look(registers, va);
    return result.kind === "fault" ? -1 : result.frame * 4096 + Number(va & 0xfffn);
  }
  private look(registers: ModelRegisters, va: bigint): WalkResult<Gpa> {
    const rules = { ...this.rulesOf(registers), permissions: ALL_ALLOWED };
    const looking: TablePort<Gpa> = { load: (at, bytes, entry) => this.load(at, bytes, entry) };
    const root = gpa(Number(registers.cr3 & 0xffffffffff000n));
    return walk(rules, root, va, 0, looking, this.result);
  }

  entry(at: number): bigint {
    const offset = this.offsetOf(Math.floor(at / 4096));
    return offset < 0 ? 0n : this.view.getBigUint64(offset + (at % 4096), true);
  }
}

/** No access is refused. */
const ALL_ALLOWED = new Uint8Array(16);
