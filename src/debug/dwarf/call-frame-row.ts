import { ByteReader } from "../byte-reader";
import type { CommonFrame, FrameDescription } from "./call-frames";
import { readPointer } from "./frame-pointer-encoding";

/** How the caller's value of a register is found (DWARF 5, 6.4.1). Offsets are from the CFA. */
export type RegisterRule =
  | { readonly kind: "undefined" }
  | { readonly kind: "same" }
  | { readonly kind: "at offset"; readonly offset: bigint }
  | { readonly kind: "is offset"; readonly offset: bigint }
  | { readonly kind: "register"; readonly register: number }
  | { readonly kind: "at expression"; readonly expression: Uint8Array }
  | { readonly kind: "is expression"; readonly expression: Uint8Array };

export type CfaRule =
  | { readonly kind: "register"; readonly register: number; readonly offset: bigint }
  | { readonly kind: "expression"; readonly expression: Uint8Array };

/** The rules in force at one address. A register without a rule keeps its value. */
export interface FrameRow {
  readonly cfa: CfaRule;
  readonly registers: ReadonlyMap<number, RegisterRule>;
}

interface State {
  cfa: CfaRule | undefined;
  registers: Map<number, RegisterRule>;
  location: bigint;
}

/** The row for an address inside the description; `undefined` when its instructions make no sense. */
export function rowAt(frame: FrameDescription, address: bigint): FrameRow | undefined {
  const state: State = { cfa: undefined, registers: new Map(), location: frame.low };
  const machine = new RowMachine(frame.common, state);
  if (!machine.run(frame.common.instructions, undefined)) return undefined;
  machine.initial = new Map(state.registers);
  if (!machine.run(frame.instructions, address)) return undefined;
  return state.cfa && { cfa: state.cfa, registers: state.registers };
}

/** Runs call frame instructions (6.4.2) until they pass the address asked for. */
class RowMachine {
  initial = new Map<number, RegisterRule>();
  private readonly saved: { cfa: CfaRule | undefined; registers: Map<number, RegisterRule> }[] = [];

  constructor(
    private readonly common: CommonFrame,
    private readonly state: State,
  ) {}

  /** False when the instructions are damaged. */
  run(instructions: Uint8Array, until: bigint | undefined): boolean {
    const reader = new ByteReader(instructions);
    while (reader.more) {
      const opcode = reader.u8();
      if (!this.execute(opcode, reader) || reader.failed) return false;
      // Rules change only between advances: those in force at `until` are still untouched here.
      if (until !== undefined && this.state.location > until) return true;
    }
    return true;
  }

  private execute(opcode: number, r: ByteReader): boolean {
    const low = opcode & 0x3f;
    switch (opcode >> 6) {
      case 1:
        this.advance(BigInt(low));
        return true;
      case 2:
        this.set(low, { kind: "at offset", offset: r.uleb() * this.common.dataAlign });
        return true;
      case 3:
        this.restore(low);
        return true;
      default: {
        const run = OPCODES[low];
        run?.(this, r);
        return run !== undefined;
      }
    }
  }

  advance(units: bigint): void {
    this.state.location += units * this.common.codeAlign;
  }
  moveTo(location: bigint | undefined): void {
    if (location !== undefined) this.state.location = location;
  }
  pointer(r: ByteReader): bigint | undefined {
    return readPointer(r, this.common.pointerEncoding, this.common.addressSize, 0n);
  }
  set(register: number, rule: RegisterRule): void {
    this.state.registers.set(register, rule);
  }
  restore(register: number): void {
    const rule = this.initial.get(register);
    if (rule) this.set(register, rule);
    else this.state.registers.delete(register);
  }
  cfa(rule: CfaRule): void {
    this.state.cfa = rule;
  }
  /** Changes one half of a register rule; a CFA given by an expression has no halves. */
  changeCfa(change: { readonly register?: number; readonly offset?: bigint }): void {
    const { cfa } = this.state;
    if (cfa?.kind === "register") this.state.cfa = { ...cfa, ...change };
  }
  scaled(offset: bigint): bigint {
    return offset * this.common.dataAlign;
  }
  remember(): void {
    this.saved.push({ cfa: this.state.cfa, registers: new Map(this.state.registers) });
  }
  recall(): void {
    const saved = this.saved.pop();
    if (!saved) return;
    this.state.cfa = saved.cfa;
    this.state.registers = saved.registers;
  }
}

type Run = (m: RowMachine, r: ByteReader) => void;
const expression = (r: ByteReader): Uint8Array => r.block(r.count());

/** Instructions with a zero in their high two bits (DWARF 5, 7.24; 0x2e and 0x2f are GNU's). */
const OPCODES: Readonly<Record<number, Run>> = {
  0: () => undefined,
  1: (m, r) => m.moveTo(m.pointer(r)),
  2: (m, r) => m.advance(BigInt(r.u8())),
  3: (m, r) => m.advance(BigInt(r.u16())),
  4: (m, r) => m.advance(BigInt(r.u32())),
  5: (m, r) => m.set(r.count(), { kind: "at offset", offset: m.scaled(r.uleb()) }),
  6: (m, r) => m.restore(r.count()),
  7: (m, r) => m.set(r.count(), { kind: "undefined" }),
  8: (m, r) => m.set(r.count(), { kind: "same" }),
  9: (m, r) => m.set(r.count(), { kind: "register", register: r.count() }),
  10: (m) => m.remember(),
  11: (m) => m.recall(),
  12: (m, r) => m.cfa({ kind: "register", register: r.count(), offset: r.uleb() }),
  13: (m, r) => m.changeCfa({ register: r.count() }),
  14: (m, r) => m.changeCfa({ offset: r.uleb() }),
  15: (m, r) => m.cfa({ kind: "expression", expression: expression(r) }),
  16: (m, r) => m.set(r.count(), { kind: "at expression", expression: expression(r) }),
  17: (m, r) => m.set(r.count(), { kind: "at offset", offset: m.scaled(r.sleb()) }),
  18: (m, r) => m.cfa({ kind: "register", register: r.count(), offset: m.scaled(r.sleb()) }),
  19: (m, r) => m.changeCfa({ offset: m.scaled(r.sleb()) }),
  20: (m, r) => m.set(r.count(), { kind: "is offset", offset: m.scaled(r.uleb()) }),
  21: (m, r) => m.set(r.count(), { kind: "is offset", offset: m.scaled(r.sleb()) }),
  22: (m, r) => m.set(r.count(), { kind: "is expression", expression: expression(r) }),
  46: (_, r) => void r.uleb(),
  47: (m, r) => m.set(r.count(), { kind: "at offset", offset: -m.scaled(r.uleb()) }),
};
