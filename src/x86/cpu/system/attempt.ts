import { ACCESS, type GuestFault } from "../board";
import type { Bytes } from "../insn";
import { CR4, S } from "../layout";
import type { CpuState } from "../state";
import type { SysResult, SystemContext } from "./context";
import { VECTOR } from "./vectors";

/** First address above the lower half, and first of the upper half. */
const LOW_48 = 1n << 47n;
const HIGH_48 = (1n << 64n) - LOW_48;
const LOW_57 = 1n << 56n;
const HIGH_57 = (1n << 64n) - LOW_57;
const LA57 = Number(CR4.LA57);
/** Offset of the last byte of an access. */
const LAST: Readonly<Record<Bytes, bigint>> = { 1: 0n, 2: 1n, 4: 3n, 8: 7n };

/** Is `va` (0…2^64-1) canonical for `bits` implemented linear-address bits (SDM 1 3.3.7.1)? */
export function isCanonicalFor(va: bigint, bits: 48 | 57): boolean {
  return bits === 48 ? va < LOW_48 || va >= HIGH_48 : va < LOW_57 || va >= HIGH_57;
}

/** Canonical with the paging in force: 57 bits under CR4.LA57, else 48. */
export const isCanonical = (state: CpuState, va: bigint): boolean =>
  isCanonicalFor(va, state.u32(S.cr4) & LA57 ? 57 : 48);

/**
 * Canonical for a register that holds an address, a descriptor table's base or an operand of INVPCID:
 * these are 57 bits wide as soon as LA57 is offered, whatever CR4.LA57 says.
 */
export const isCanonicalBase = ({ model }: SystemContext, va: bigint): boolean =>
  isCanonicalFor(va, model.features.has("la57") ? 57 : 48);

/**
 * The accesses and checks of one instruction or event, in the manual's order. The first failure wins
 * and silences everything after it: later accesses read 0, later checks are ignored. So a sequence is
 * written straight down, `fault` is looked at once, and nothing has been committed when it is set.
 */
export class Attempt {
  private failed: GuestFault | undefined;

  constructor(readonly ctx: SystemContext) {
    ctx.mem.begin();
  }

  get state(): CpuState {
    return this.ctx.state;
  }

  get fault(): GuestFault | undefined {
    return this.failed ?? this.ctx.mem.fault;
  }

  /** Raises `vector` unless `holds`. Returns whether the attempt is still alive. */
  require(holds: boolean, vector: number, error?: number): boolean {
    if (this.fault) return false;
    if (!holds) this.failed = error === undefined ? { vector } : { vector, error };
    return holds;
  }

  fail(fault: GuestFault): void {
    if (!this.fault) this.failed = fault;
  }

  /** A checked linear address: masked to 32 bits outside long mode, canonical in it. */
  read(va: bigint, size: Bytes, access: number): bigint {
    return this.failed ? 0n : this.ctx.mem.read(this.wrap(va), size, access);
  }

  write(va: bigint, size: Bytes, value: bigint, access: number): void {
    if (!this.failed) this.ctx.mem.write(this.wrap(va), size, value, access);
  }

  /** An implicit supervisor access: descriptor tables and TSS (SDM 3A 4.6.1). */
  readSystem(va: bigint, size: Bytes, ext = 0): bigint {
    this.require(this.reachable(va, size), VECTOR.GP, ext);
    return this.read(va, size, ACCESS.implicit);
  }

  writeSystem(va: bigint, size: Bytes, value: bigint, ext = 0): void {
    this.require(this.reachable(va, size), VECTOR.GP, ext);
    this.write(va, size, value, ACCESS.implicit);
  }

  /** Commits the stores and runs `commit`, or reports the fault. */
  finish(commit: () => SysResult): SysResult {
    const fault = this.fault;
    if (fault) return { kind: "fault", fault };
    this.ctx.mem.commit();
    return commit();
  }

  private reachable(va: bigint, size: Bytes): boolean {
    const { state } = this;
    if (!state.longMode) return true;
    return isCanonical(state, va) && isCanonical(state, va + LAST[size]);
  }

  /** In long mode an address was checked before it got here. */
  private wrap(va: bigint): bigint {
    return this.state.longMode ? va : BigInt.asUintN(32, va);
  }
}
