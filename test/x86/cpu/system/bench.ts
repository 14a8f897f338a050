import { Buffer } from "node:buffer";
import type { Board, GuestFault } from "../../../../src/x86/cpu/board";
import { decode } from "../../../../src/x86/cpu/decode";
import type { Insn, Operand } from "../../../../src/x86/cpu/insn";
import { CR0, CR4, EFER, FLAG, GPR, S, SEG, type SegIndex } from "../../../../src/x86/cpu/layout";
import { CpuState } from "../../../../src/x86/cpu/state";
import type { SysResult } from "../../../../src/x86/cpu/system/context";
import { type CpuModel, defaultModel, FEATURES } from "../../../../src/x86/cpu/system/cpu-model";
import { type DeliverResult, deliver } from "../../../../src/x86/cpu/system/deliver";
import { parseDescriptor, toSegment } from "../../../../src/x86/cpu/system/descriptor";
import type { DeliveryEvent } from "../../../../src/x86/cpu/system/event";
import { resetState } from "../../../../src/x86/cpu/system/reset";
import type { SysopContext } from "../../../../src/x86/cpu/system/segment-access";
import { sysops } from "../../../../src/x86/cpu/system/sysops";
import { FlatMemory } from "./flat-memory";

/** Where things lie in the bench's memory. */
export const AT = {
  gdt: 0x1000,
  ldt: 0x2000,
  idt: 0x3000,
  tss: 0x5000,
  stack0: 0x8000,
  stack3: 0xa000,
  inner: 0xc000,
  ist1: 0xe000,
  code: 0x10000,
  handler: 0x20000,
} as const;

/** Selectors of the bench's GDT. */
export const SEL = {
  code64: 0x08,
  data: 0x10,
  code32: 0x18,
  userCode32: 0x23,
  userData: 0x2b,
  userCode64: 0x33,
  conforming: 0x38,
  code16: 0x40,
  data16: 0x48,
  tss: 0x50,
  ldt: 0x60,
  absentData: 0x70,
  absentCode: 0x78,
  readOnly: 0x80,
  gate: 0x90,
  expandDown: 0xa0,
  executeOnly: 0xa8,
  bothLD: 0xb0,
  freeTss: 0xc0,
  absentTss: 0xd0,
  end: 0xe0,
} as const;

export function descriptor(base: number, limit: number, access: number, flags: number): bigint {
  const low = BigInt(limit & 0xffff) | (BigInt(base & 0xffff) << 16n);
  const high =
    ((base >>> 16) & 0xff) |
    (access << 8) |
    (limit & 0xf0000) |
    (flags << 20) |
    (base & 0xff000000);
  return low | (BigInt(high >>> 0) << 32n);
}

const FLAT = 0xfffff;
const table: readonly (readonly [number, bigint])[] = [
  [SEL.code64, descriptor(0, FLAT, 0x9b, 0xa)],
  [SEL.data, descriptor(0, FLAT, 0x93, 0xc)],
  [SEL.code32, descriptor(0, FLAT, 0x9b, 0xc)],
  [SEL.userCode32, descriptor(0, FLAT, 0xfb, 0xc)],
  [SEL.userData, descriptor(0, FLAT, 0xf3, 0xc)],
  [SEL.userCode64, descriptor(0, FLAT, 0xfb, 0xa)],
  [SEL.conforming, descriptor(0, FLAT, 0x9f, 0xc)],
  [SEL.code16, descriptor(0, 0xffff, 0x9b, 0)],
  [SEL.data16, descriptor(0, 0xffff, 0x93, 0)],
  [SEL.tss, descriptor(AT.tss, 0xfff, 0x8b, 0)],
  [SEL.ldt, descriptor(AT.ldt, 0x1f, 0x82, 0)],
  [SEL.absentData, descriptor(0, FLAT, 0x13, 0xc)],
  [SEL.absentCode, descriptor(0, FLAT, 0x1b, 0xa)],
  [SEL.readOnly, descriptor(0, FLAT, 0x91, 0xc)],
  [SEL.expandDown, descriptor(0, 0xfff, 0x97, 0x4)],
  [SEL.executeOnly, descriptor(0, FLAT, 0x99, 0xc)],
  [SEL.bothLD, descriptor(0, FLAT, 0x9b, 0xe)],
  [SEL.freeTss, descriptor(AT.tss, 0x67, 0x89, 0)],
  [SEL.absentTss, descriptor(AT.tss, 0x67, 0x09, 0)],
];

export type Mode = "long" | "compatibility" | "protected" | "real" | "v8086";

/** What the board was told. */
export interface Heard {
  flushes: string[];
  control: string[];
  out: string[];
}

export class Bench implements SysopContext {
  readonly mem = new FlatMemory();
  readonly state = new CpuState(new WebAssembly.Memory({ initial: 4 }), 0);
  readonly heard: Heard = { flushes: [], control: [], out: [] };
  model: CpuModel;
  rip = BigInt(AT.code);
  nextRip = BigInt(AT.code + 2);
  /** Set to refuse a control-register change, or to stop before one. */
  boardFault: GuestFault | undefined;
  stopBefore = false;
  hypercallResult: bigint | undefined;
  portValue = 0;

  constructor(
    mode: Mode,
    { cpl = 0, vendor = "intel" }: { cpl?: number; vendor?: CpuModel["vendor"] } = {},
  ) {
    this.model = { ...defaultModel(), vendor, features: new Set(FEATURES) };
    resetState(this.state, "power-on", this.model);
    for (const [selector, value] of table) this.setDescriptor(selector, value);
    this.state.setU64(S.gdtrBase, BigInt(AT.gdt));
    this.state.setU32(S.gdtrLimit, SEL.end - 1);
    this.state.rip = this.rip;
    this.enter(mode, cpl);
    this.fillTables(mode);
  }

  setDescriptor(selector: number, value: bigint): void {
    const at = selector & 4 ? AT.ldt : AT.gdt;
    this.mem.poke(at + (selector & 0xfff8), 8, value);
  }

  /** Loads a hidden register straight from the GDT, unchecked. */
  load(index: SegIndex, selector: number): void {
    const at = AT.gdt + (selector & 0xfff8);
    this.state.setSegment(
      index,
      toSegment(selector, parseDescriptor(BigInt(at), this.mem.peek(at, 8))),
    );
  }

  /** An interrupt or trap gate for every mode but real: type E, F, 6 or 7. */
  setGate(
    vector: number,
    {
      selector = this.state.longMode ? SEL.code64 : SEL.code32,
      offset = AT.handler,
      type = 0xe,
      dpl = 0,
      present = true,
      ist = 0,
    }: Partial<Record<"selector" | "offset" | "type" | "dpl" | "ist", number>> & {
      present?: boolean;
    } = {},
  ): void {
    const long = this.state.longMode;
    const access = (present ? 0x80 : 0) | (dpl << 5) | type;
    const low =
      BigInt(offset & 0xffff) |
      (BigInt(selector) << 16n) |
      (BigInt(ist) << 32n) |
      (BigInt(access) << 40n) |
      (BigInt(offset >>> 16) << 48n);
    const at = AT.idt + vector * (long ? 16 : 8);
    this.mem.poke(at, 8, low);
    if (long) this.mem.poke(at + 8, 8, 0n);
  }

  deliver(
    event: Partial<DeliveryEvent> & Pick<DeliveryEvent, "vector" | "kind">,
    announce?: (fault: GuestFault) => boolean,
  ): DeliverResult {
    return deliver(this, { returnRip: this.rip, ...event }, announce);
  }

  /** Decodes and carries out one system instruction given in hex. */
  execute(hex: string): SysResult {
    const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
    const { state } = this;
    const bits = state.code64 ? 64 : state.segment(SEG.cs).attr & 0x4000 ? 32 : 16;
    const insn = decode({ byte: (n) => bytes[n] ?? 0 }, this.rip, bits);
    if (insn?.kind !== "sysop") throw new Error(`${hex} is ${insn?.kind} ${insn?.name}`);
    this.nextRip = insn.nextIp;
    const op = sysops[insn.name];
    if (!op) throw new Error(`no sysop ${insn.name}`);
    return op(this, insn);
  }

  /** Words of `size` bytes at the top of the stack, lowest address first. */
  stack(count: number, size: 2 | 4 | 8): bigint[] {
    const sp = Number(this.state.gpr(GPR.rsp));
    return Array.from({ length: count }, (_, n) => this.mem.peek(sp + n * size, size));
  }

  /** Pushes words, first one deepest, by hand. */
  push(size: 2 | 4 | 8, ...values: (number | bigint)[]): void {
    for (const value of values) {
      const sp = this.state.gpr(GPR.rsp) - BigInt(size);
      this.state.setGpr(GPR.rsp, sp);
      this.mem.poke(Number(sp), size, BigInt(value));
    }
  }

  selector(index: SegIndex): number {
    return this.state.segment(index).selector;
  }

  get iopl(): number {
    return Number((this.state.rflags & FLAG.IOPL) >> 12n);
  }
  set iopl(level: number) {
    this.state.rflags = (this.state.rflags & ~FLAG.IOPL) | (BigInt(level) << 12n);
  }

  get ask(): Board {
    return this.board;
  }
  readonly board: Board = {
    refill: unexpected,
    pageFault: unexpected,
    emulate: unexpected,
    emulatedStore: unexpected,
    deviceRead: unexpected,
    deviceWrite: unexpected,
    cr0Written: (old, value) => this.hear("cr0", old, value),
    cr3Written: (old, value, noFlush) => this.hear(`cr3${noFlush ? " keep" : ""}`, old, value),
    cr4Written: (old, value) => this.hear("cr4", old, value),
    eferWritten: (old, value) => {
      this.hear("efer", old, value);
    },
    pkruWritten: () => {
      this.heard.control.push("pkru");
    },
    invlpg: (va) => {
      this.heard.control.push(`invlpg ${va.toString(16)}`);
    },
    invpcid: (type, pcid, va) => {
      this.heard.control.push(`invpcid ${type} ${pcid} ${va.toString(16)}`);
    },
    hint: (name) => {
      this.heard.control.push(name);
    },
    portIn: () => this.portValue,
    portOut: (port, size, value) => {
      this.heard.out.push(`${port.toString(16)}/${size}=${value.toString(16)}`);
    },
    cpuid: (leaf) => [leaf, 1, 2, 3],
    readMsr: (index) => (index === 0x800 ? 5n : undefined),
    writeMsr: (index) => index === 0x800,
    time: () => 1000n,
    taskPriority: (value) => value ?? 7n,
    hypercall: () => this.hypercallResult,
    acknowledgeInterrupt: () => -1,
    beforeFault: () => false,
    beforeInvlpg: () => this.stopBefore,
    beforeControlWrite: () => this.stopBefore,
  };

  flushTlb(keepGlobal: boolean): void {
    this.heard.flushes.push(keepGlobal ? "not global" : "all");
  }
  flushTlbPage(va: bigint): void {
    this.heard.flushes.push(va.toString(16));
  }
  stateChanged(): void {}

  operandValue(insn: Insn, n: number): bigint {
    const operand = insn.operands[n]!;
    if (operand.kind === "imm") return BigInt.asUintN(8 * operand.size, operand.value);
    if (operand.kind === "reg") return this.register(operand);
    const { linear } = this.effectiveAddress(insn);
    return this.mem.read(linear, (operand.kind === "mem" ? operand.size : 2) as 2, 0);
  }
  setOperand(insn: Insn, n: number, value: bigint): void {
    const operand = insn.operands[n]!;
    if (operand.kind === "reg") {
      const { index, size } = operand;
      const old = size < 4 ? this.state.gpr(index) & ~((1n << BigInt(8 * size)) - 1n) : 0n;
      this.state.setGpr(index, old | BigInt.asUintN(8 * size, value));
    } else {
      const size = (operand.kind === "mem" ? operand.size : 2) as 2;
      this.mem.write(this.effectiveAddress(insn).linear, size, BigInt.asUintN(8 * size, value), 0);
    }
  }
  effectiveAddress(insn: Insn): { segment: SegIndex; offset: bigint; linear: bigint } {
    const operand = insn.operands.find((each) => each.kind === "mem");
    if (operand?.kind !== "mem") throw new Error("no memory operand");
    const base = operand.base < 0 ? 0n : this.state.gpr(operand.base);
    const offset = BigInt.asUintN(8 * insn.addressSize, base + operand.disp);
    const linear = this.state.code64 ? offset : offset + this.state.segment(operand.segment).base;
    return { segment: operand.segment, offset, linear };
  }

  private register({ index, size }: Operand & { kind: "reg" }): bigint {
    return BigInt.asUintN(8 * size, this.state.gpr(index));
  }

  private hear(name: string, old: bigint, value: bigint): GuestFault | undefined {
    this.heard.control.push(`${name} ${old.toString(16)}→${value.toString(16)}`);
    return this.boardFault;
  }

  private enter(mode: Mode, cpl: number): void {
    const { state } = this;
    state.setGpr(GPR.rsp, BigInt(cpl === 3 ? AT.stack3 : AT.stack0));
    if (mode === "real") {
      for (const index of [SEG.es, SEG.cs, SEG.ss, SEG.ds, SEG.fs, SEG.gs])
        state.setSegment(index, { ...state.segment(index), selector: 0, base: 0n });
      return;
    }
    state.cr0 = CR0.PE | CR0.ET;
    this.load(SEG.tr, SEL.tss);
    if (mode === "v8086") {
      state.rflags = 2n | FLAG.VM;
      for (const index of [SEG.es, SEG.cs, SEG.ss, SEG.ds, SEG.fs, SEG.gs])
        state.setSegment(index, {
          selector: 0,
          base: 0n,
          lo: 0,
          hi: 0xffff,
          attr: 0xf3,
          unusable: false,
        });
      return;
    }
    const long = mode === "long" || mode === "compatibility";
    if (long) {
      state.cr0 |= CR0.PG;
      state.cr4 = CR4.PAE;
      state.efer = EFER.LME | EFER.LMA | EFER.SCE;
    }
    const user = cpl === 3;
    const code =
      mode === "long" ? (user ? SEL.userCode64 : SEL.code64) : user ? SEL.userCode32 : SEL.code32;
    this.load(SEG.cs, code);
    for (const index of [SEG.es, SEG.ss, SEG.ds, SEG.fs, SEG.gs])
      this.load(index, user ? SEL.userData : SEL.data);
  }

  private fillTables(mode: Mode): void {
    const { state, mem } = this;
    const long = state.longMode;
    state.setU64(S.idtrBase, mode === "real" ? 0n : BigInt(AT.idt));
    state.setU32(S.idtrLimit, mode === "real" ? 0x3ff : 256 * (long ? 16 : 8) - 1);
    if (mode !== "real") for (let vector = 0; vector < 32; vector++) this.setGate(vector);
    if (long) {
      mem.poke(AT.tss + 4, 8, BigInt(AT.inner));
      mem.poke(AT.tss + 0x24, 8, BigInt(AT.ist1));
    } else {
      mem.poke(AT.tss + 4, 4, BigInt(AT.inner));
      mem.poke(AT.tss + 8, 2, BigInt(SEL.data));
    }
  }
}

function unexpected(): never {
  throw new Error("the bench's memory is flat: the board is not asked");
}

export const fault = (vector: number, error?: number): SysResult => ({
  kind: "fault",
  fault: error === undefined ? { vector } : { vector, error },
});
export const gp0 = fault(13, 0);
export const ud = fault(6);
