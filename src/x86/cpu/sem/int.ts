import { GPR, S } from "../layout";
import type { Machine, Semantic } from "../machine";
import { L, type V } from "../wasm/code";

/** Integer arithmetic, logic and data movement (SDM 2A-2B, one entry a mnemonic). */

const plain = (emit: (m: Machine) => void): Semantic => ({ uses: "", emit });
const sized = (emit: (m: Machine) => void): Semantic => ({ uses: "o", emit });

type Flags = (m: Machine, bits: number, a: V, b: V, result: V) => void;
const addFlags: Flags = (m, bits, a, b, result) => m.flagsAdd(bits, a, b, result);
const subFlags: Flags = (m, bits, a, b, result) => m.flagsSub(bits, a, b, result);
const logicFlags: Flags = (m, _bits, _a, _b, result) => m.flagsLogic(result);

function twoOperand(compute: (a: V, b: V, m: Machine) => V, flags: Flags, writes = true): Semantic {
  return plain((m) => {
    const target = m.op(0);
    const source = m.let(m.op(1).get());
    const place = writes ? target.modify() : undefined;
    const a = m.let(place ? place.get() : target.get());
    const result = m.let(L.sx(compute(a, source, m), target.bits));
    place?.put(result);
    flags(m, target.bits, a, source, result);
  });
}

function oneOperand(
  compute: (a: V) => V,
  flags: (m: Machine, bits: number, a: V, result: V) => void,
): Semantic {
  return plain((m) => {
    const target = m.op(0);
    const place = target.modify();
    const a = m.let(place.get());
    const result = m.let(L.sx(compute(a), target.bits));
    place.put(result);
    flags(m, target.bits, a, result);
  });
}

const ONE = L.c(1);

/** Multiply flags: CF = OF = the product does not fit; SF, ZF, PF follow the low half. */
function multiplyFlags(m: Machine, low: V, lost: V): void {
  const overflow = m.let(lost);
  m.flagsResult(low, overflow, overflow);
}

const asBit = (condition: V): V => L.fromI32(condition);

function mulHighS(m: Machine, a: V, b: V): V {
  const correction = L.add(L.and(L.shrs(a, L.c(63)), b), L.and(L.shrs(b, L.c(63)), a));
  return m.let(L.sub(m.mulHighU(a, b), correction));
}

/** One-operand MUL and IMUL: AX, or rDX:rAX. */
function multiplyWide(m: Machine, signed: boolean): void {
  const { bits, get } = m.op(0);
  const source = m.let(signed ? get() : L.zx(get(), bits));
  const acc = m.let(signed ? m.reg(GPR.rax, bits) : m.regU(GPR.rax, bits));
  const low = m.let(L.mul(acc, source));
  if (bits === 8) {
    m.put(GPR.rax, low, 16);
    const narrow = signed ? L.sx(low, 8) : L.zx(low, 8);
    multiplyFlags(m, m.let(L.sx(low, 8)), asBit(L.ne(low, narrow)));
    return;
  }
  if (bits < 64) {
    m.put(GPR.rdx, L.shru(low, L.c(bits)), bits);
    m.put(GPR.rax, low, bits);
    const narrow = signed ? L.sx(low, bits) : L.zx(low, bits);
    multiplyFlags(m, m.let(L.sx(low, bits)), asBit(L.ne(low, narrow)));
    return;
  }
  const high = signed ? mulHighS(m, acc, source) : m.let(m.mulHighU(acc, source));
  m.put(GPR.rdx, high, 64);
  m.put(GPR.rax, low, 64);
  multiplyFlags(m, low, asBit(L.ne(high, signed ? L.shrs(low, L.c(63)) : L.c(0))));
}

/** Two- and three-operand IMUL. */
function multiplyInto(m: Machine, a: V, b: V): void {
  const target = m.op(0);
  const low = m.let(L.mul(a, b));
  const result = m.let(L.sx(low, target.bits));
  const lost =
    target.bits === 64 ? L.ne(mulHighS(m, a, b), L.shrs(low, L.c(63))) : L.ne(low, result);
  const overflow = m.let(asBit(lost));
  target.put(result);
  m.flagsResult(result, overflow, overflow);
}

const DIVIDE_ERROR = 0;

/** DIV and IDIV; #DE on a zero divisor or a quotient that does not fit. Flags stay as they were. */
function divide(m: Machine, signed: boolean): void {
  const { bits, get } = m.op(0);
  const divisor = m.let(signed ? get() : L.zx(get(), bits));
  m.when(L.eqz(divisor), () => m.fault(DIVIDE_ERROR));
  if (bits === 64) {
    divideLong(m, divisor, signed);
    return;
  }
  const dividend = m.let(
    bits === 8
      ? signed
        ? m.reg(GPR.rax, 16)
        : m.regU(GPR.rax, 16)
      : L.or(L.shl(m.regU(GPR.rdx, bits), L.c(bits)), m.regU(GPR.rax, bits)),
  );
  const number = signed && bits !== 8 ? m.let(L.sx(dividend, 2 * bits)) : dividend;
  if (signed && bits === 32) {
    // The one quotient that does not even fit 64 bits.
    m.when(L.eqz(L.or(L.xor(number, L.c(-(1n << 63n))), L.xor(divisor, L.c(-1)))), () =>
      m.fault(DIVIDE_ERROR),
    );
  }
  const quotient = m.let((signed ? L.divs : L.divu)(number, divisor));
  const remainder = m.let((signed ? L.rems : L.remu)(number, divisor));
  const fits = signed ? L.sx(quotient, bits) : L.zx(quotient, bits);
  m.when(L.ne(quotient, fits), () => m.fault(DIVIDE_ERROR));
  if (bits === 8) {
    m.put(GPR.rax, quotient, 8);
    m.putAh(remainder);
    return;
  }
  m.put(GPR.rax, quotient, bits);
  m.put(GPR.rdx, remainder, bits);
}

function divideLong(m: Machine, divisor: V, signed: boolean): void {
  const low = m.let(m.reg(GPR.rax, 64));
  const high = m.let(m.reg(GPR.rdx, 64));
  // Nearly every 64-bit division has a 64-bit dividend; -1 is left out because of the overflowing quotient.
  const small = signed
    ? L.eqz(L.or(L.xor(high, L.shrs(low, L.c(63))), L.fromI32(L.eq(divisor, L.c(-1)))))
    : L.eqz(high);
  m.when(
    small,
    () => {
      const quotient = m.let((signed ? L.divs : L.divu)(low, divisor));
      m.put(GPR.rdx, m.let((signed ? L.rems : L.remu)(low, divisor)), 64);
      m.put(GPR.rax, quotient, 64);
    },
    () => {
      m.when(m.divide128(high, low, divisor, signed), () => m.fault(DIVIDE_ERROR));
      m.put(GPR.rax, m.field(S.scratch), 64);
      m.put(GPR.rdx, m.field(S.scratch + 8), 64);
    },
  );
}

function exchange(m: Machine): void {
  const first = m.op(0);
  const second = m.op(1);
  const place = first.modify();
  const a = m.let(place.get());
  const b = m.let(second.get());
  place.put(b);
  second.put(a);
}

function exchangeAdd(m: Machine): void {
  const target = m.op(0);
  const source = m.op(1);
  const place = target.modify();
  const a = m.let(place.get());
  const b = m.let(source.get());
  const result = m.let(L.sx(L.add(a, b), target.bits));
  // The register first: XADD r, r to itself leaves the sum.
  source.put(a);
  place.put(result);
  m.flagsAdd(target.bits, a, b, result);
}

/** CMPXCHG always needs write rights: a failed compare writes the old value back. */
function compareExchange(m: Machine): void {
  const target = m.op(0);
  const { bits } = target;
  const place = target.modify();
  const old = m.let(place.get());
  const acc = m.let(m.reg(GPR.rax, bits));
  const source = m.let(m.op(1).get());
  const result = m.let(L.sx(L.sub(acc, old), bits));
  m.when(
    L.eqz(result),
    () => place.put(source),
    () => {
      if (target.isMemory) place.put(old);
      m.put(GPR.rax, old, bits);
    },
  );
  m.flagsSub(bits, acc, old, result);
}

/** CMPXCHG8B, and CMPXCHG16B with REX.W, which wants 16-byte alignment (#GP). */
function compareExchangePair(m: Machine): void {
  const half = m.key.operandSize === 8 ? 8 : 4;
  const bits = 8 * half;
  const linear = m.let(m.linearOf(0, 2 * half, undefined, true));
  if (half === 8) {
    m.when(L.ne(L.and(linear, L.c(15)), L.c(0)), () => m.fault(13, 0));
  }
  const place = m.reserve(linear, 2 * half, "reads");
  const low = m.let(place.get(bits));
  const high = m.let(place.get(bits, half));
  const equal = m.letB(
    L.eqz(L.or(L.xor(low, m.reg(GPR.rax, bits)), L.xor(high, m.reg(GPR.rdx, bits)))),
  );
  m.when(
    equal,
    () => {
      place.set(m.reg(GPR.rbx, bits), bits);
      place.set(m.reg(GPR.rcx, bits), bits, half);
    },
    () => {
      place.set(low, bits);
      place.set(high, bits, half);
      m.put(GPR.rax, low, bits);
      m.put(GPR.rdx, high, bits);
    },
  );
  m.setZero(L.fromI32(equal));
}

const byteOf = (value: V, n: number): V => L.and(L.shru(value, L.c(8 * n)), L.c(0xff));

/** Bytes of the low `bits` bits in opposite order. */
function reverseBytes(value: V, bits: number): V {
  const bytes = bits / 8;
  return Array.from({ length: bytes }, (_, n) =>
    L.shl(byteOf(value, n), L.c(8 * (bytes - 1 - n))),
  ).reduce((a, b) => L.or(a, b));
}

export const integer: Readonly<Record<string, Semantic>> = {
  add: twoOperand((a, b) => L.add(a, b), addFlags),
  adc: twoOperand((a, b, m) => L.add(L.add(a, b), m.carry()), addFlags),
  sub: twoOperand((a, b) => L.sub(a, b), subFlags),
  sbb: twoOperand((a, b, m) => L.sub(L.sub(a, b), m.carry()), subFlags),
  cmp: twoOperand((a, b) => L.sub(a, b), subFlags, false),
  and: twoOperand((a, b) => L.and(a, b), logicFlags),
  or: twoOperand((a, b) => L.or(a, b), logicFlags),
  xor: twoOperand((a, b) => L.xor(a, b), logicFlags),
  test: twoOperand((a, b) => L.and(a, b), logicFlags, false),
  inc: oneOperand(
    (a) => L.add(a, ONE),
    (m, bits, a, result) => m.flagsStep(bits, a, ONE, result, false),
  ),
  dec: oneOperand(
    (a) => L.sub(a, ONE),
    (m, bits, a, result) => m.flagsStep(bits, a, ONE, result, true),
  ),
  not: oneOperand(L.not, () => {}),
  neg: oneOperand(
    (a) => L.sub(L.c(0), a),
    (m, bits, a, result) => m.flagsSub(bits, L.c(0), a, result),
  ),
  mov: plain((m) => m.op(0).put(m.op(1).get())),
  movnti: plain((m) => m.op(0).put(m.op(1).get())),
  movzx: plain((m) => {
    const source = m.op(1);
    m.op(0).put(L.zx(source.get(), source.bits));
  }),
  movsx: plain((m) => m.op(0).put(m.op(1).get())),
  movsxd: plain((m) => {
    const target = m.op(0);
    target.put(L.sx(m.op(1).get(), Math.min(target.bits, 32)));
  }),
  lea: { uses: "a", emit: (m) => m.op(0).put(m.ea(1)) },
  xchg: plain(exchange),
  xadd: plain(exchangeAdd),
  cmpxchg: plain(compareExchange),
  cmpxchg8b: sized(compareExchangePair),
  cmovcc: {
    uses: "c",
    emit: (m) => {
      // The source is read, and may fault, whatever the condition; a 32-bit target is always cleared above.
      const value = m.let(m.op(1).get());
      const target = m.op(0);
      target.put(L.select(m.condition(m.key.cc), value, target.get()));
    },
  },
  setcc: {
    uses: "c",
    emit: (m) => m.op(0).put(m.let(L.fromI32(m.condition(m.key.cc)))),
  },
  cbw: sized((m) => {
    const bits = 8 * m.key.operandSize;
    m.put(GPR.rax, m.reg(GPR.rax, bits / 2), bits);
  }),
  cwd: sized((m) => {
    const bits = 8 * m.key.operandSize;
    m.put(GPR.rdx, L.shrs(m.reg(GPR.rax, bits), L.c(63)), bits);
  }),
  mul: plain((m) => multiplyWide(m, false)),
  imul: plain((m) => {
    const operands = m.key.forms.length;
    if (operands === 1) multiplyWide(m, true);
    else {
      const a = m.let(m.op(1).get());
      const b = m.let(m.op(operands === 2 ? 0 : 2).get());
      multiplyInto(m, a, b);
    }
  }),
  div: plain((m) => divide(m, false)),
  idiv: plain((m) => divide(m, true)),
  bswap: plain((m) => {
    const target = m.op(0);
    const value = m.let(target.get());
    // BSWAP of a 16-bit register is undefined; processors clear it.
    target.put(target.bits === 16 ? L.c(0) : reverseBytes(value, target.bits));
  }),
  movbe: plain((m) => {
    const target = m.op(0);
    const value = m.let(m.op(1).get());
    target.put(reverseBytes(value, target.bits));
  }),
  nop: plain(() => {}),
  lfence: plain(() => {}),
  mfence: plain(() => {}),
  sfence: plain(() => {}),
  // A byte read like any other: same faults, no effect (SDM 2A CLFLUSH).
  clflush: plain((m) => {
    m.op(0).get();
  }),
};
