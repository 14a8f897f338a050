import { ACCESS } from "./board";
import type { GuestMemory } from "./guest-memory";
import type { Bytes, Insn, MemoryOperand, OperandAccess } from "./insn";
import { CR0, CR4, FLAG, S, SEG, SEG_BYTES, type SegIndex } from "./layout";
import type { CpuState } from "./state";

const MASK = (bytes: number, value: bigint): bigint => BigInt.asUintN(8 * bytes, value);
const GP = 13;
const SS = 12;
/** S set, code, not readable. */
const EXECUTE_ONLY = 0x18;
const WRITABLE_DATA = 0x12;
const TYPE_BITS = 0x1a;

/** Is `va` canonical under the paging in force (SDM 1 3.3.7.1)? */
export function isCanonicalIn(state: CpuState, va: bigint): boolean {
  const bits = state.cr4 & CR4.LA57 ? 57 : 48;
  return BigInt.asUintN(64, BigInt.asIntN(bits, va)) === va;
}

/**
 * May `bytes` bytes at `offset` of a segment be accessed outside 64-bit code (SDM 3A 5.3, 5.5)? The one
 * authority; generated code has a quicker test that only ever says "ask".
 */
export function segmentAllows(
  state: CpuState,
  segment: SegIndex,
  offset: bigint,
  bytes: number,
  write: boolean,
): boolean {
  const { lo, hi, attr, unusable } = state.segment(segment);
  if (unusable) return false;
  if (offset < BigInt(lo) || offset + BigInt(bytes - 1) > BigInt(hi)) return false;
  const protectedMode = (state.cr0 & CR0.PE) !== 0n && !(state.u64(S.rflags) & FLAG.VM);
  if (!protectedMode) return true;
  return write ? (attr & TYPE_BITS) === WRITABLE_DATA : (attr & TYPE_BITS) !== EXECUTE_ONLY;
}

/** Offset of a memory operand, masked to the address size. */
export function offsetOf(state: CpuState, insn: Insn, operand: MemoryOperand): bigint {
  const base = operand.base < 0 ? 0n : state.gpr(operand.base);
  const index = operand.index < 0 ? 0n : state.gpr(operand.index);
  return MASK(insn.addressSize, base + (index << BigInt(operand.scale)) + operand.disp);
}

/** Operands of system instructions. */
export class Operands implements OperandAccess {
  constructor(
    private readonly state: () => CpuState,
    private readonly mem: GuestMemory,
  ) {}

  operandValue(insn: Insn, n: number): bigint {
    const state = this.state();
    const operand = insn.operands[n];
    switch (operand?.kind) {
      case "reg": {
        const value = state.gpr(operand.slot >> 3) >> BigInt(8 * (operand.slot & 7));
        return MASK(operand.size, value);
      }
      case "imm":
        return MASK(operand.size, operand.value);
      case "seg":
        return BigInt(state.segment(operand.index as SegIndex).selector);
      case "mem": {
        const linear = this.checked(insn, operand, false);
        return this.mem.read(linear, operand.size as Bytes, this.access);
      }
      default:
        throw new Error(`operand ${n} of ${insn.name} has no value`);
    }
  }

  setOperand(insn: Insn, n: number, value: bigint): void {
    const operand = insn.operands[n];
    if (operand?.kind === "reg") this.setRegister(operand.slot, operand.size, value);
    else if (operand?.kind === "mem") {
      const linear = this.checked(insn, operand, true);
      this.mem.write(linear, operand.size as Bytes, value, this.access);
    } else throw new Error(`operand ${n} of ${insn.name} cannot be written`);
  }

  effectiveAddress(insn: Insn): { segment: SegIndex; offset: bigint; linear: bigint } {
    const operand = insn.operands.find((each) => each.kind === "mem");
    if (operand?.kind !== "mem") throw new Error(`${insn.name} has no memory operand`);
    const offset = offsetOf(this.state(), insn, operand);
    return { segment: operand.segment, offset, linear: this.linear(operand.segment, offset) };
  }

  private get access(): number {
    return this.state().cpl === 3 ? ACCESS.user : 0;
  }

  private linear(segment: SegIndex, offset: bigint): bigint {
    const state = this.state();
    const base = state.u64(S.seg + SEG_BYTES * segment);
    if (state.code64) return MASK(8, offset + (segment >= SEG.fs ? base : 0n));
    return MASK(4, offset + base);
  }

  private checked(insn: Insn, operand: MemoryOperand, write: boolean): bigint {
    const state = this.state();
    const offset = offsetOf(state, insn, operand);
    const linear = this.linear(operand.segment, offset);
    const last = MASK(8, linear + BigInt(operand.size - 1));
    const fine = state.code64
      ? isCanonicalIn(state, linear) && isCanonicalIn(state, last)
      : segmentAllows(state, operand.segment, offset, operand.size, write);
    if (!fine) this.mem.raise({ vector: operand.segment === SEG.ss ? SS : GP, error: 0 });
    return linear;
  }

  private setRegister(slot: number, size: Bytes, value: bigint): void {
    const { view, base } = this.state();
    const at = base + S.gpr + slot;
    const low = MASK(size, value);
    if (size === 1) view.setUint8(at, Number(low));
    else if (size === 2) view.setUint16(at, Number(low), true);
    else view.setBigUint64(at, low, true);
  }
}
