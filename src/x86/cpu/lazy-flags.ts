import { S } from "./layout";
import { type B, L, type V, W } from "./wasm/code";

const ZERO = W.c(0);
const HIGH_BIT = L.c(-(1n << 63n));

/**
 * The arithmetic flags as two words of the struct, from which each flag is worked out when it is asked
 * for: the result sign-extended to 64 bits (`lfRes`), and the carry vector with the operand's top at bit
 * 63 (`lfCv`: bit 63 CF, bit 62 CF xor OF, bit 3 AF; bits 1 and 2 say "PF clear" and "SF set" of a result
 * of 0, for combinations that no result has). Operands come sign-extended.
 */
export abstract class LazyFlags {
  abstract let(value: V): V;
  abstract setField(offset: number, value: V): void;
  abstract arithmeticFlags(): V;
  abstract setArithmeticFlags(value: V): void;

  private carryVector(vector: V, bits: number): V {
    if (bits === 64) return L.and(vector, L.c(-7));
    const held = this.let(vector);
    return L.or(L.shl(held, L.c(64 - bits)), L.and(held, L.c(8)));
  }
  private vectorAdd(a: V, b: V, result: V): V {
    return L.or(L.and(a, b), L.and(L.or(a, b), L.not(result)));
  }
  private vectorSub(a: V, b: V, result: V): V {
    return L.or(L.and(L.not(a), b), L.and(L.or(L.not(a), b), result));
  }
  private keepFlags(result: V, vector: V): void {
    this.setField(S.lfCv, vector);
    this.setField(S.lfRes, result);
  }

  flagsAdd(bits: number, a: V, b: V, result: V): void {
    this.keepFlags(result, this.carryVector(this.vectorAdd(a, b, result), bits));
  }
  flagsSub(bits: number, a: V, b: V, result: V): void {
    this.keepFlags(result, this.carryVector(this.vectorSub(a, b, result), bits));
  }
  flagsLogic(result: V): void {
    this.keepFlags(result, L.c(0));
  }
  flagsStep(bits: number, a: V, b: V, result: V, subtract: boolean): void {
    const raw = subtract ? this.vectorSub(a, b, result) : this.vectorAdd(a, b, result);
    const vector = this.let(this.carryVector(raw, bits));
    const carry = this.let(L.and(L.load(ZERO, S.lfCv), HIGH_BIT));
    const overflow = L.and(L.xor(vector, L.shl(vector, L.c(1))), HIGH_BIT);
    const below = L.shru(L.xor(carry, overflow), L.c(1));
    this.keepFlags(result, L.or(L.or(carry, below), L.and(vector, L.c(8))));
  }
  private carryOverflowBits(carry: V, overflow: V): V {
    return L.or(L.shl(carry, L.c(63)), L.shl(L.xor(carry, overflow), L.c(62)));
  }
  flagsResult(result: V, carry: V, overflow: V): void {
    const c = this.let(carry);
    this.keepFlags(result, this.carryOverflowBits(c, overflow));
  }
  setCarryOverflow(carry: V, overflow: V): void {
    const c = this.let(carry);
    const kept = L.and(L.load(ZERO, S.lfCv), L.c((1n << 62n) - 1n));
    this.setField(S.lfCv, L.or(kept, this.carryOverflowBits(c, overflow)));
  }
  setCarry(carry: V): void {
    this.setCarryOverflow(carry, this.overflow());
  }
  private overflow(): V {
    const vector = L.load(ZERO, S.lfCv);
    return this.let(L.shru(L.xor(vector, L.shl(vector, L.c(1))), L.c(63)));
  }
  setZero(zero: V): void {
    const rest = L.and(this.arithmeticFlags(), L.c(~0x40n));
    this.setArithmeticFlags(L.or(rest, L.shl(zero, L.c(6))));
  }
  carry(): V {
    return L.shru(L.load(ZERO, S.lfCv), L.c(63));
  }

  condition(cc: number): B {
    const result = L.load(ZERO, S.lfRes);
    const vector = L.load(ZERO, S.lfCv);
    const sign = L.or(result, L.shl(vector, L.c(61)));
    const overflow = L.xor(vector, L.shl(vector, L.c(1)));
    const negative = (value: V): B => L.lts(value, L.c(0));
    const parity = (): B => {
      const odd = W.and(W.popcnt(W.and(W.wrap(result), W.c(0xff))), W.c(1));
      return W.eqz(W.or(odd, W.and(W.wrap(vector), W.c(2))));
    };
    const tests: readonly (() => B)[] = [
      () => negative(overflow),
      () => negative(vector),
      () => L.eqz(result),
      () => W.or(negative(vector), L.eqz(result)),
      () => negative(sign),
      parity,
      () => negative(L.xor(sign, overflow)),
      () => W.or(negative(L.xor(sign, overflow)), L.eqz(result)),
    ];
    const test = tests[cc >> 1]!();
    return cc & 1 ? W.eqz(test) : test;
  }
}
