import type { Machine, Semantic } from "../machine";
import { L, type V } from "../wasm/code";

/**
 * Shifts and rotates (SDM 2B SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD). The count is masked to 5
 * bits, 6 for 64-bit operands; a masked count of 0 leaves all flags. OF for counts above 1 is undefined
 * by the manual: here it is what the formula for 1 gives, as on the processors tested.
 */

const bitAt = (value: V, n: V): V => L.and(L.shru(value, n), L.c(1));
const top = (value: V, bits: number): V => bitAt(value, L.c(bits - 1));

/** Masked count as a local. */
function countOf(m: Machine, n: number, bits: number): V {
  return m.let(L.and(m.op(n).get(), L.c(bits === 64 ? 63 : 31)));
}

type Shift = (m: Machine, value: V, count: V, bits: number) => { result: V; carry: V; overflow: V };

/** Runs `shift` for a nonzero count; a zero count writes the operand back unchanged. */
function shifting(shift: Shift, keepsOthers: boolean): Semantic {
  return {
    uses: "",
    countOperand: 1,
    emit: (m) => {
      const target = m.op(0);
      const { bits } = target;
      const count = countOf(m, 1, bits);
      const place = target.modify();
      const value = m.let(place.get());
      m.when(
        L.eqz(count),
        () => place.put(value),
        () => {
          const done = shift(m, value, count, bits);
          const result = m.let(L.sx(done.result, bits));
          const carry = m.let(done.carry);
          const overflow = m.let(done.overflow);
          place.put(result);
          if (keepsOthers) m.setCarryOverflow(carry, overflow);
          else m.flagsResult(result, carry, overflow);
        },
      );
    },
  };
}

const shl: Shift = (m, value, count, bits) => {
  const raw = m.let(L.shl(L.zx(value, bits), count));
  const result = m.let(L.sx(raw, bits));
  // Shifted out last: bit `bits` of the long result, or of the operand when 64 bits wide.
  const carry = bits === 64 ? bitAt(value, L.sub(L.c(64), count)) : bitAt(raw, L.c(bits));
  const held = m.let(carry);
  return { result, carry: held, overflow: L.xor(held, top(result, bits)) };
};

const shr: Shift = (m, value, count, bits) => {
  const whole = m.let(L.zx(value, bits));
  return {
    result: L.shru(whole, count),
    carry: bitAt(whole, L.sub(count, L.c(1))),
    overflow: top(L.shru(whole, L.sub(count, L.c(1))), bits),
  };
};

const sar: Shift = (_m, value, count) => ({
  result: L.shrs(value, count),
  carry: L.and(L.shrs(value, L.sub(count, L.c(1))), L.c(1)),
  overflow: L.c(0),
});

/** Left rotation of the low `bits` bits by `by`, 0 … bits-1. */
function rotated(m: Machine, value: V, by: V, bits: number): V {
  const whole = m.let(L.zx(value, bits));
  const back = L.and(L.sub(L.c(bits), by), L.c(bits === 64 ? 63 : 127));
  // For bits < 64 the back shift may be `bits`, which gives the 0 that is wanted.
  return L.zx(L.or(L.shl(whole, by), L.shru(whole, back)), bits);
}

const rol: Shift = (m, value, count, bits) => {
  const result = m.let(rotated(m, value, m.let(L.and(count, L.c(bits - 1))), bits));
  const carry = m.let(L.and(result, L.c(1)));
  return { result, carry, overflow: L.xor(carry, top(result, bits)) };
};

const ror: Shift = (m, value, count, bits) => {
  const by = m.let(L.and(L.sub(L.c(bits), L.and(count, L.c(bits - 1))), L.c(bits - 1)));
  const result = m.let(rotated(m, value, by, bits));
  const carry = m.let(top(result, bits));
  return { result, carry, overflow: L.xor(carry, bitAt(result, L.c(bits - 2))) };
};

/**
 * Rotation through carry of `bits` + 1 bits. `by` counts left steps 1 … bits; each half is shifted in two
 * parts because a 64-bit shift by 64 is a shift by 0.
 */
function throughCarry(m: Machine, value: V, by: V, bits: number): { result: V; carry: V } {
  const whole = m.let(L.zx(value, bits));
  const carryIn = m.let(m.carry());
  const low = L.shru(L.shru(whole, L.c(1)), L.sub(L.c(bits), by));
  const high = L.shl(L.shl(whole, L.sub(by, L.c(1))), L.c(1));
  const middle = L.shl(carryIn, L.sub(by, L.c(1)));
  return {
    result: m.let(L.zx(L.or(L.or(high, middle), low), bits)),
    carry: m.let(bitAt(whole, L.sub(L.c(bits), by))),
  };
}

/** Steps left of an RCL by `count`, or the equivalent of an RCR, modulo bits + 1. */
function steps(m: Machine, count: V, bits: number, right: boolean): V {
  const reduced = bits < 32 ? m.let(L.remu(count, L.c(bits + 1))) : count;
  if (!right) return reduced;
  return m.let(L.select(L.eqz(reduced), L.c(0), L.sub(L.c(bits + 1), reduced)));
}

const rotateThroughCarry = (right: boolean): Shift => {
  return (m, value, count, bits) => {
    const by = steps(m, count, bits, right);
    const result = m.variable(L.zx(value, bits));
    const carry = m.variable(m.carry());
    m.when(L.ne(by, L.c(0)), () => {
      const turned = throughCarry(m, value, by, bits);
      result.set(turned.result);
      carry.set(turned.carry);
    });
    const overflow = right
      ? L.xor(top(result.get, bits), bitAt(result.get, L.c(bits - 2)))
      : L.xor(top(result.get, bits), carry.get);
    return { result: result.get, carry: carry.get, overflow };
  };
};

/** SHLD, SHRD. A 16-bit operand with a count above 16 is undefined: the double operand wraps round. */
function doubleShift(right: boolean): Semantic {
  return {
    uses: "",
    countOperand: 2,
    emit: (m) => {
      const target = m.op(0);
      const { bits } = target;
      const count = countOf(m, 2, bits);
      const filler = m.let(L.zx(m.op(1).get(), bits));
      const place = target.modify();
      const value = m.let(L.zx(place.get(), bits));
      m.when(
        L.eqz(count),
        () => place.put(value),
        () => {
          const { result, carry } =
            bits === 16
              ? doubleShift16(m, value, filler, count, right)
              : doubleShiftWide(value, filler, count, bits, right);
          const done = m.let(L.sx(result, bits));
          const out = m.let(carry);
          const overflow = m.let(L.xor(top(done, bits), top(value, bits)));
          place.put(done);
          m.flagsResult(done, out, overflow);
        },
      );
    },
  };
}

function doubleShiftWide(
  value: V,
  filler: V,
  count: V,
  bits: number,
  right: boolean,
): { result: V; carry: V } {
  const rest = L.sub(L.c(bits), count);
  return right
    ? {
        result: L.or(L.shru(value, count), L.shl(filler, rest)),
        carry: bitAt(value, L.sub(count, L.c(1))),
      }
    : {
        result: L.or(L.shl(value, count), L.shru(filler, rest)),
        carry: bitAt(value, rest),
      };
}

function doubleShift16(
  m: Machine,
  value: V,
  filler: V,
  count: V,
  right: boolean,
): { result: V; carry: V } {
  if (right) {
    const all = m.let(L.or(L.or(value, L.shl(filler, L.c(16))), L.shl(value, L.c(32))));
    return { result: L.shru(all, count), carry: bitAt(all, L.sub(count, L.c(1))) };
  }
  const all = m.let(L.or(L.or(L.shl(value, L.c(32)), L.shl(filler, L.c(16))), value));
  return {
    result: L.shru(L.shl(all, count), L.c(32)),
    carry: bitAt(all, L.sub(L.c(48), count)),
  };
}

export const shift: Readonly<Record<string, Semantic>> = {
  shl: shifting(shl, false),
  shr: shifting(shr, false),
  sar: shifting(sar, false),
  rol: shifting(rol, true),
  ror: shifting(ror, true),
  rcl: shifting(rotateThroughCarry(false), true),
  rcr: shifting(rotateThroughCarry(true), true),
  shld: doubleShift(false),
  shrd: doubleShift(true),
};
