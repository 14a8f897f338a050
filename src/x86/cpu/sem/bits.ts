import { S } from "../layout";
import type { Machine, Semantic } from "../machine";
import { L, type V } from "../wasm/code";

/** Bit tests and bit scans. */

/**
 * BT, BTS, BTR, BTC. A register bit offset reaches outside a memory operand: the operand-sized unit that
 * holds the bit is accessed (SDM 2A BT). Only CF changes.
 */
function bitTest(change: ((value: V, mask: V) => V) | undefined): Semantic {
  return {
    uses: "",
    emit: (m) => {
      const target = m.op(0);
      const { bits } = target;
      const source = m.op(1);
      const offset = m.let(source.get());
      const mask = m.let(L.shl(L.c(1), L.and(offset, L.c(bits - 1))));
      if (!target.isMemory) {
        const value = m.let(target.get());
        if (change) target.put(change(value, mask));
        m.setCarry(L.fromI32(L.ne(L.and(value, mask), L.c(0))));
        return;
      }
      const far = m.key.forms[1]!.letter === "r";
      const unit = Math.log2(bits);
      const more = far ? L.shl(L.shrs(offset, L.c(unit)), L.c(unit - 3)) : undefined;
      const linear = m.linearOf(0, bits / 8, more, change !== undefined);
      if (!change) {
        const value = m.load(linear, bits);
        m.setCarry(L.fromI32(L.ne(L.and(value, mask), L.c(0))));
        return;
      }
      const place = m.reserve(linear, bits / 8, "reads");
      const value = m.let(place.get(bits));
      place.set(change(value, mask), bits);
      m.setCarry(L.fromI32(L.ne(L.and(value, mask), L.c(0))));
    },
  };
}

/** BSF, BSR: a zero source sets ZF and leaves the target alone, as AMD documents and Intel does. */
function scan(position: (source: V) => V): Semantic {
  return {
    uses: "",
    emit: (m) => {
      const target = m.op(0);
      const source = m.let(L.zx(m.op(1).get(), target.bits));
      const zero = m.letB(L.eqz(source));
      m.when(
        zero,
        () => {},
        () => target.put(m.let(position(source))),
      );
      m.setZero(L.fromI32(zero));
    },
  };
}

function countFlags(m: Machine, source: V, result: V, carryOnZero: boolean): void {
  if (carryOnZero) {
    m.setCarry(L.fromI32(L.eqz(source)));
    m.setZero(L.fromI32(L.eqz(result)));
    return;
  }
  // POPCNT clears all but ZF, which tells a zero source.
  m.setField(S.lfRes, L.c(0));
  m.setField(S.lfCv, L.c(0));
  m.setArithmeticFlags(L.shl(L.fromI32(L.eqz(source)), L.c(6)));
}

export const bits: Readonly<Record<string, Semantic>> = {
  bt: bitTest(undefined),
  bts: bitTest((value, mask) => L.or(value, mask)),
  btr: bitTest((value, mask) => L.and(value, L.not(mask))),
  btc: bitTest((value, mask) => L.xor(value, mask)),
  bsf: scan(L.ctz),
  bsr: scan((source) => L.sub(L.c(63), L.clz(source))),
  popcnt: {
    uses: "",
    emit: (m) => {
      const target = m.op(0);
      const source = m.let(L.zx(m.op(1).get(), target.bits));
      const result = m.let(L.popcnt(source));
      target.put(result);
      countFlags(m, source, result, false);
    },
  },
  lzcnt: {
    uses: "",
    emit: (m) => {
      const target = m.op(0);
      const source = m.let(L.zx(m.op(1).get(), target.bits));
      const result = m.let(L.sub(L.clz(source), L.c(64 - target.bits)));
      target.put(result);
      countFlags(m, source, result, true);
    },
  },
};
