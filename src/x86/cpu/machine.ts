import type { Key } from "./handler-key";
import type { SegIndex } from "./layout";
import type { B, V } from "./wasm/code";

/**
 * The abstract machine: what an instruction's meaning is written over. Values (`V`, `B`) are expressions
 * evaluated where they are used; what is used twice, or must be read before a side effect, goes through
 * `let`. The laws every semantic function keeps:
 *
 * 1. Nothing is committed before the last thing that can fault.
 * 2. An instruction with several stores translates all of them first (`reserve`).
 * 3. Flags come last and get locals, never expressions that read state.
 * 4. Semantics never look at how they are run.
 */
export interface Machine {
  readonly key: Key;

  let(value: V): V;
  letB(value: B): B;
  /** A local that `set` may change; for loops and results chosen in branches. */
  variable(initial: V): { get: V; set(value: V): void };

  /** Operand `n` of the instruction. */
  op(n: number): Place;
  /** Offset of the memory operand `n`, before the segment, masked to the address size. */
  ea(n: number): V;
  /** Linear address of operand `n`, `more` bytes further on. */
  linearOf(n: number, bytes: number, more: V | undefined, write: boolean): V;
  /** `value` if the memory operand's base register is rSP, else 0. */
  ifStackBased(value: number): V;
  /** Branch target or next address kept in the record. */
  nextIp(): V;

  /** Fixed register, sign-extended from its low `bits` bits. */
  reg(index: number, bits: number): V;
  regU(index: number, bits: number): V;
  /** 32: zero-extends into the whole register; 8 and 16: merges. */
  put(index: number, value: V, bits: number): void;
  /** Fixed byte register AH. */
  ah(): V;
  putAh(value: V): void;
  /** A field of the CPU struct. */
  field(offset: number): V;
  setField(offset: number, value: V): void;

  /** Linear address of `offset` in a segment; in flat keys only masked. `string` source uses the record's segment. */
  linear(segment: SegIndex | "source", offset: V, bytes: number, write: boolean): V;
  /** Sign-extended load; may leave with a fault. */
  load(linear: V, bits: number, stack?: boolean): V;
  /** Translates for writing now; `set` cannot fault. `get` only with `reads`. */
  reserve(linear: V, bytes: number, how?: "stack" | "reads"): Reserved;

  stackPointer(): V;
  /** Stack pointer plus `delta`, wrapped to the stack size. */
  stackAdd(pointer: V, delta: number | V): V;
  /** A 16-bit stack keeps the upper half of ESP. */
  putStackPointer(pointer: V): void;

  flagsAdd(bits: number, a: V, b: V, result: V): void;
  flagsSub(bits: number, a: V, b: V, result: V): void;
  flagsLogic(result: V): void;
  /** As add or sub of one, keeping CF. */
  flagsStep(bits: number, a: V, b: V, result: V, subtract: boolean): void;
  /** New result (ZF SF PF), CF and OF given as 0/1; AF cleared. */
  flagsResult(result: V, carry: V, overflow: V): void;
  /** CF and OF alone, given as 0/1. */
  setCarryOverflow(carry: V, overflow: V): void;
  /** CF alone. */
  setCarry(carry: V): void;
  /** ZF alone set to 0/1; other flags stay. */
  setZero(zero: V): void;
  /** CF as 0 or 1. */
  carry(): V;
  condition(cc: number): B;
  /** The six arithmetic flags, in RFLAGS positions. */
  arithmeticFlags(): V;
  setArithmeticFlags(value: V): void;

  /** Both conditions, each already computed without side effects. */
  both(a: B, b: B): B;
  when(condition: B, then: () => void, otherwise?: () => void): void;
  loopWhile(body: () => B): void;
  /** Exception at this instruction; nothing may have been committed. Vectors with an error code get `error`. */
  fault(vector: number, error?: number): void;
  /** Host help for what 64-bit arithmetic lacks; expression of the result. */
  mulHighU(a: V, b: V): V;
  /** 128 by 64 division: true if #DE. Quotient and remainder through `field(S.scratch)`, +8. */
  divide128(high: V, low: V, divisor: V, signed: boolean): B;

  /** Block ends; exactly one of these is the last thing a `term` instruction does on each path. */
  branch(condition: B): void;
  jump(): void;
  jumpTo(ip: V): void;
  /** Leaves to TypeScript at `ip` because RFLAGS bits outside the arithmetic ones changed. */
  leaveChanged(ip: V): void;

  /** REP: extra units used, beyond the one already paid. */
  spend(units: V): void;
  /** Units left in the slice after this one. */
  unitsLeft(): V;
  /** REP: this instruction once more. */
  again(): void;
  /** The following instruction. */
  next(): void;
  /** #GP(0) for a target that is not canonical; outside 64-bit mode fetching checks the limit. */
  checkTarget(ip: V): void;
  /** Plain RAM pages both in the TLB: host addresses for bulk work; runs `then` only if so. */
  whenMapped(
    pages: readonly { readonly linear: V; readonly write: boolean }[],
    then: (host: readonly B[]) => void,
  ): void;
  copyBytes(to: B, from: B, bytes: V): void;
  /** `bytes` bytes of the repeated low `unit` bytes of `value`. */
  fill(to: B, value: V, unit: number, bytes: V): void;
}

/** Memory translated for writing. */
export interface Reserved {
  get(bits: number, at?: number): V;
  set(value: V, bits: number, at?: number): void;
}

/** A register, memory or immediate operand. Reads are sign-extended. */
export interface Place {
  readonly bits: number;
  readonly isMemory: boolean;
  get(): V;
  put(value: V): void;
  /** Read now, write later: a memory operand is translated for writing first. */
  modify(): { get(): V; put(value: V): void };
}

/** The meaning of one mnemonic. */
export interface Semantic {
  /** What besides operand forms the code depends on: o operand size, a address size, c condition, p repeat prefix, f flatness, s a source segment. */
  readonly uses: string;
  /** Operand that is CL (read from its fixed place), if the mnemonic has one. */
  readonly countOperand?: number;
  readonly emit: (m: Machine) => void;
}
