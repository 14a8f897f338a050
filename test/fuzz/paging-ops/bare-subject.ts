import {
  CR0,
  CR4,
  FramePort,
  type Gfn,
  type Gpa,
  type GuestFault,
  HardwareWalker,
  loadPdptes,
  PAGE_SIZE,
  pagingMode,
  pdpteRegisters,
  pdpteTable,
  type Refill,
  Trace,
  topTable,
  walkRules,
} from "../../../src/x86";
import { featuresOf } from "./hypervisor-subject";
import { RAM_PAGES } from "./layout";
import type { PlainSlot } from "./plain-memory";
import { Processor, type Translator } from "./processor";
import { ScriptedCpu } from "./scripted-cpu";
import type { Setup } from "./setup";
import type { Subject } from "./subject";

/** `mmu: none`: the processor walks the guest's own tables, and nobody stands in between. */
export class BareSubject implements Subject {
  readonly vm = undefined;
  readonly trace = new Trace();
  readonly processors: readonly Processor[];
  private readonly bytes: Uint8Array;
  private slots: readonly PlainSlot[] = [];

  constructor(setup: Setup) {
    const memory = new WebAssembly.Memory({ initial: (RAM_PAGES * PAGE_SIZE) / 0x10000 });
    this.bytes = new Uint8Array(memory.buffer);
    const frames = { offsetOf: (frame: Gfn) => this.offsetOf(frame) };
    const view = new DataView(memory.buffer);
    this.processors = setup.tlb.map((size) => {
      const cpu = new ScriptedCpu(size);
      return new Processor(view, cpu, new BareTranslator(memory, frames, cpu, setup));
    });
  }

  private offsetOf(frame: number): number {
    const slot = this.slots.find((s) => frame >= s.base && frame < s.base + s.pages);
    return slot ? (slot.backing + frame - slot.base) * PAGE_SIZE : -1;
  }
  contents(page: number): Uint8Array {
    return this.bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  }
  plant(page: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, page * PAGE_SIZE);
  }
  /** Without a hypervisor memory is plugged in once. */
  setSlot(slot: PlainSlot): string {
    this.slots = [...this.slots, slot];
    return "create";
  }
  hostAction(): string {
    return "there is no host";
  }
  age(): void {}
  shrink(): void {}
  limitMemory(): void {}
  checkHost(): readonly string[] {
    return [];
  }
  restore(): void {}
}

class BareTranslator implements Translator {
  private readonly walker: HardwareWalker<Gpa>;
  private readonly port: FramePort<Gpa>;
  private readonly pdptes = pdpteRegisters();

  constructor(
    memory: WebAssembly.Memory,
    frames: { offsetOf(frame: Gfn): number },
    private readonly cpu: ScriptedCpu,
    private readonly setup: Setup,
  ) {
    this.port = new FramePort<Gpa>(memory, frames);
    const rules = walkRules(cpu, featuresOf(setup));
    this.walker = new HardwareWalker<Gpa>(memory, frames, rules, 0 as Gpa);
  }

  refill(va: bigint, access: number): Refill {
    this.walker.rules = walkRules(this.cpu, featuresOf(this.setup), this.cpu.pkru);
    return this.walker.refill(va, access, this.cpu.ac);
  }
  pageFault(va: bigint, error: number) {
    return { kind: "inject", error, cr2: va } as const;
  }
  emulate(va: bigint, access: number): Refill {
    const where = this.refill(va, access);
    // Slots never move here: RAM lies in the store as the guest sees it.
    return where.kind === "ram" ? { ...where, gpa: where.offset + Number(va & 0xfffn) } : where;
  }
  emulatedStore(gpa: number, bytes: Uint8Array): void {
    const entry = { lo: 0, hi: 0 };
    const at = (gpa - (gpa % 8)) as Gpa;
    if (!this.port.load(at, 8, entry)) return;
    const word = new DataView(new ArrayBuffer(8));
    word.setUint32(0, entry.lo, true);
    word.setUint32(4, entry.hi, true);
    new Uint8Array(word.buffer).set(bytes, gpa % 8);
    this.port.store64(at, word.getUint32(0, true), word.getUint32(4, true));
  }
  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.changed(((old ^ value) & CR0.PG) !== 0n);
  }
  cr3Written(): GuestFault | undefined {
    return this.changed(true);
  }
  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.changed(((old ^ value) & (CR4.PAE | CR4.PGE | CR4.PSE | CR4.SMEP)) !== 0n);
  }
  eferWritten(): void {}
  pkruWritten(): void {}
  invlpg(): void {}
  invpcid(): void {}

  /** `reload`: PAE paging reads its PDPTEs again. */
  private changed(reload: boolean): GuestFault | undefined {
    const { cpu, walker } = this;
    const mode = pagingMode(cpu);
    if (mode !== "PAE") {
      walker.root = topTable(mode, cpu.cr3) as Gpa;
      return undefined;
    }
    const table = pdpteTable(cpu.cr3) as Gpa;
    if (reload && !loadPdptes(this.port, table, this.setup.physicalBits, this.pdptes))
      return { vector: 13, error: 0 };
    walker.root = this.pdptes;
    return undefined;
  }
}
