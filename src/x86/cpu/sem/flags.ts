import { GPR, S } from "../layout";
import type { Machine, Semantic } from "../machine";
import { type B, L, type V, W } from "../wasm/code";

/** Flag instructions, and the decimal adjustments, which live by AF and CF. */

const simple = (emit: (m: Machine) => void): Semantic => ({ uses: "", emit });
const FLAGS_IN_AH = 0xd5;
const DF = 0x400;
const CF = 1;
const AF = 0x10;

const al = (m: Machine): V => m.let(m.regU(GPR.rax, 8));
const lowNibbleAbove9 = (value: V): B => L.gtu(L.and(value, L.c(15)), L.c(9));
const has = (flags: V, bit: number): B => L.ne(L.and(flags, L.c(bit)), L.c(0));
const bitIf = (condition: B, bit: number): V => L.mul(L.fromI32(condition), L.c(bit));

/** SF, ZF and PF from a byte result, CF and AF as given. */
function flagsOfByte(m: Machine, result: V, carryAndAdjust: V): void {
  const others = m.let(carryAndAdjust);
  m.flagsLogic(m.let(L.sx(result, 8)));
  m.setArithmeticFlags(L.or(L.and(m.arithmeticFlags(), L.c(0xc4)), others));
}

/** DAA and DAS (SDM 2A): adjust AL after packed decimal arithmetic. */
function decimalAdjust(subtract: boolean): Semantic {
  return simple((m) => {
    const old = al(m);
    const flags = m.let(m.arithmeticFlags());
    const low = m.letB(W.or(lowNibbleAbove9(old), has(flags, AF)));
    const high = m.letB(W.or(L.gtu(old, L.c(0x99)), has(flags, CF)));
    const by = L.add(bitIf(low, 6), bitIf(high, 0x60));
    const result = m.let(L.and((subtract ? L.sub : L.add)(old, by), L.c(0xff)));
    // DAS also keeps the borrow of its first step.
    const borrow = subtract ? W.and(low, L.ltu(old, L.c(6))) : W.c(0);
    m.put(GPR.rax, result, 8);
    flagsOfByte(m, result, L.or(bitIf(W.or(high, borrow), CF), bitIf(low, AF)));
  });
}

/** AAA and AAS: adjust AL and AH after unpacked decimal arithmetic. */
function asciiAdjust(subtract: boolean): Semantic {
  return simple((m) => {
    const old = al(m);
    const flags = m.let(m.arithmeticFlags());
    const adjust = m.letB(W.or(lowNibbleAbove9(old), has(flags, AF)));
    m.when(adjust, () => {
      const by = L.c(subtract ? -0x106 : 0x106);
      m.put(GPR.rax, m.let(L.add(m.regU(GPR.rax, 16), by)), 16);
    });
    const result = m.let(L.and(m.regU(GPR.rax, 8), L.c(15)));
    m.put(GPR.rax, result, 8);
    flagsOfByte(m, result, L.or(bitIf(adjust, CF), bitIf(adjust, AF)));
  });
}

export const flags: Readonly<Record<string, Semantic>> = {
  clc: simple((m) => m.setCarry(L.c(0))),
  stc: simple((m) => m.setCarry(L.c(1))),
  cmc: simple((m) => m.setCarry(m.let(L.xor(m.carry(), L.c(1))))),
  cld: simple((m) => m.setField(S.rflags, L.and(m.field(S.rflags), L.c(~DF)))),
  std: simple((m) => m.setField(S.rflags, L.or(m.field(S.rflags), L.c(DF)))),
  lahf: simple((m) => m.putAh(L.or(L.and(m.arithmeticFlags(), L.c(FLAGS_IN_AH)), L.c(2)))),
  sahf: simple((m) => {
    const kept = L.and(m.arithmeticFlags(), L.c(0x800));
    m.setArithmeticFlags(m.let(L.or(kept, L.and(m.ah(), L.c(FLAGS_IN_AH)))));
  }),
  salc: simple((m) => m.put(GPR.rax, L.sub(L.c(0), m.carry()), 8)),
  daa: decimalAdjust(false),
  das: decimalAdjust(true),
  aaa: asciiAdjust(false),
  aas: asciiAdjust(true),
  aam: simple((m) => {
    const base = m.let(L.and(m.op(0).get(), L.c(0xff)));
    m.when(L.eqz(base), () => m.fault(0));
    const old = al(m);
    m.putAh(L.divu(old, base));
    const result = m.let(L.remu(old, base));
    m.put(GPR.rax, result, 8);
    flagsOfByte(m, result, L.c(0));
  }),
  aad: simple((m) => {
    const base = m.let(L.and(m.op(0).get(), L.c(0xff)));
    const result = m.let(L.and(L.add(al(m), L.mul(m.ah(), base)), L.c(0xff)));
    m.put(GPR.rax, result, 16);
    flagsOfByte(m, result, L.c(0));
  }),
};
