import { ACCESS, ALLOW, type Board, type Refill } from "../../../../src/x86/cpu/board";
import { Engine, type RunResult } from "../../../../src/x86/cpu/engine";
import { CPU_FIXED_BYTES, SEG } from "../../../../src/x86/cpu/layout";
import type { CpuState } from "../../../../src/x86/cpu/state";
import { descriptor } from "./bench";
import { ORIGIN, type Program } from "./listing";

const MIB = 1 << 20;
const PARK = CPU_FIXED_BYTES;
const ARENA = MIB;
const ARENA_BYTES = 4 * MIB;
const RAM = 8 * MIB;
const RAM_BYTES = MIB;

export const AT = {
  stack3: 0x6000,
  gdt: 0x8000,
  tss: 0x8100,
  stack0: 0x9000,
  log: 0x9400,
  idt: 0xa000,
  ist1: 0xc000,
} as const;
export const SEL = { code64: 0x08, data: 0x10, code32: 0x18, tss: 0x38, gate: 0x50 } as const;

/** One vCPU over 1 MiB of RAM that is mapped to itself, whatever the page tables say. */
export class BootMachine {
  private readonly memory = new WebAssembly.Memory({ initial: (RAM + RAM_BYTES) >> 16 });
  private readonly view = new DataView(this.memory.buffer);
  private readonly engine: Engine;
  private readonly core;
  readonly program: Program;

  constructor(program: Program) {
    this.program = program;
    this.engine = new Engine({
      memory: this.memory,
      arenaBase: ARENA,
      arenaBytes: ARENA_BYTES,
      parkBase: PARK,
    });
    this.core = this.engine.addVcpu(flatBoard());
    this.core.reset();
    new Uint8Array(this.memory.buffer).set(program.bytes, RAM + ORIGIN);
    this.fillGdt();
    const { state } = this.core;
    for (const index of [SEG.cs, SEG.ds, SEG.ss, SEG.es])
      state.setSegment(index, { ...state.segment(index), selector: 0, base: 0n });
    state.rip = BigInt(ORIGIN);
    this.core.stateChanged();
  }

  get state(): CpuState {
    return this.core.state;
  }

  run(budget: number): RunResult {
    return this.engine.run(this.core, budget);
  }

  at(label: string): number {
    const address = this.program.labels.get(label);
    if (address === undefined) throw new Error(`no label ${label}`);
    return address;
  }

  log(count: number, from: number = AT.log): number[] {
    return Array.from({ length: count }, (_, n) => this.view.getUint8(RAM + from + n));
  }
  u64(at: number): bigint {
    return this.view.getBigUint64(RAM + at, true);
  }
  setU64(at: number, value: bigint): void {
    this.view.setBigUint64(RAM + at, value, true);
  }
  setU32(at: number, value: number): void {
    this.view.setUint32(RAM + at, value, true);
  }

  /** A gate of the IDT; `bytes` 16 for long mode. */
  setGate(
    vector: number,
    label: string,
    bytes: 8 | 16,
    { dpl = 0, ist = 0, type = 0xe }: { dpl?: number; ist?: number; type?: number } = {},
  ): void {
    const selector = bytes === 16 ? SEL.code64 : SEL.code32;
    this.setU64(AT.idt + bytes * vector, gate(selector, this.at(label), dpl, type, ist));
    if (bytes === 16) this.setU64(AT.idt + bytes * vector + 8, 0n);
  }
  setCallGate(label: string): void {
    this.setU64(AT.gdt + SEL.gate, gate(SEL.code32, this.at(label), 3, 0xc, 0));
  }

  private fillGdt(): void {
    const FLAT = 0xfffff;
    const table = [
      0n,
      descriptor(0, FLAT, 0x9a, 0xa),
      descriptor(0, FLAT, 0x92, 0xc),
      descriptor(0, FLAT, 0x9a, 0xc),
      descriptor(0, FLAT, 0xfa, 0xc),
      descriptor(0, FLAT, 0xf2, 0xc),
      descriptor(0, FLAT, 0xfa, 0xa),
      descriptor(AT.tss, 0x67, 0x89, 0),
      0n,
    ];
    table.forEach((value, n) => {
      this.setU64(AT.gdt + 8 * n, value);
    });
  }
}

function gate(selector: number, offset: number, dpl: number, type: number, ist: number): bigint {
  const access = 0x80 | (dpl << 5) | type;
  return (
    BigInt(offset & 0xffff) |
    (BigInt(selector) << 16n) |
    (BigInt(ist) << 32n) |
    (BigInt(access) << 40n) |
    (BigInt(offset >>> 16) << 48n)
  );
}

function refill(va: bigint, access: number): Refill {
  const mapped = va < BigInt(RAM_BYTES);
  return {
    kind: mapped ? "ram" : "fault",
    offset: mapped ? RAM + Number(va & ~0xfffn) : 0,
    allow: ALLOW.read | ALLOW.write | ALLOW.exec,
    level: 1,
    global: false,
    gpa: Number(va & 0xfffffn),
    error: access & (ACCESS.write | ACCESS.user),
  };
}

function flatBoard(): Board {
  return {
    refill,
    pageFault: (va, error) => ({ kind: "inject", error, cr2: va }),
    emulate: refill,
    emulatedStore() {},
    deviceRead: () => 0n,
    deviceWrite() {},
    cr0Written: () => undefined,
    cr3Written: () => undefined,
    cr4Written: () => undefined,
    eferWritten() {},
    pkruWritten() {},
    invlpg() {},
    invpcid() {},
    hint() {},
    portIn: () => 0,
    portOut() {},
    cpuid: () => [0, 0, 0, 0],
    readMsr: () => undefined,
    writeMsr: () => false,
    time: () => 0n,
    taskPriority: () => 0n,
    hypercall: () => undefined,
    acknowledgeInterrupt: () => -1,
    beforeFault: () => false,
    beforeInvlpg: () => false,
    beforeControlWrite: () => false,
  };
}
