import { GPR, S, SEG } from "../layout";
import type { Machine, Semantic } from "../machine";
import { type B, L, type V, W } from "../wasm/code";

/**
 * String instructions. One budget unit an iteration; a fault or the end of the slice finds rCX, rSI and
 * rDI at whole iterations and rip at the prefix. MOVS and STOS do many iterations at once where all of
 * them stay in pages that the TLB maps plainly.
 */

const DF = 0x400;
const PAGE = 4096;

class StringOperands {
  readonly bytes: number;
  readonly bits: number;
  private readonly addressBits: number;

  constructor(private readonly m: Machine) {
    this.bytes = m.key.operandSize;
    this.bits = 8 * this.bytes;
    this.addressBits = 8 * m.key.addressSize;
  }

  get repeated(): boolean {
    return this.m.key.rep !== 0;
  }
  offset(register: number): V {
    return this.m.regU(register, this.addressBits);
  }
  source(): V {
    return this.m.linear("source", this.offset(GPR.rsi), this.bytes, false);
  }
  target(write: boolean): V {
    return this.m.linear(SEG.es, this.offset(GPR.rdi), this.bytes, write);
  }
  /** Bytes one iteration moves: the element size, negative with DF set. */
  step(): V {
    const down = L.and(this.m.field(S.rflags), L.c(DF));
    return L.sub(L.c(this.bytes), L.shru(L.mul(down, L.c(this.bytes)), L.c(9)));
  }
  advance(register: number, by: V): void {
    const { m, addressBits } = this;
    m.put(register, m.let(L.add(m.regU(register, addressBits), by)), addressBits);
  }
  count(): V {
    return this.offset(GPR.rcx);
  }
  putCount(value: V): void {
    this.m.put(GPR.rcx, value, this.addressBits);
  }
}

/** Wraps one iteration in the REP protocol; `stop` ends it early (REPE, REPNE). */
function repeating(
  iteration: (m: Machine, s: StringOperands) => B | undefined,
  bulk?: (m: Machine, s: StringOperands) => void,
): Semantic {
  return {
    uses: "oapfs",
    emit: (m) => {
      const s = new StringOperands(m);
      if (!s.repeated) {
        iteration(m, s);
        return;
      }
      m.when(L.ne(s.count(), L.c(0)), () => {
        bulk?.(m, s);
        const stop = iteration(m, s);
        const left = m.let(L.sub(s.count(), L.c(1)));
        s.putCount(left);
        const more = L.ne(L.zx(left, 8 * m.key.addressSize), L.c(0));
        m.when(stop ? m.both(more, W.eqz(stop)) : more, () => m.again());
      });
    },
  };
}

/** Iterations until `linear` reaches the end of its page. */
const untilPageEnd = (linear: V, bytes: number): V =>
  L.shru(L.sub(L.c(PAGE), L.and(linear, L.c(PAGE - 1))), L.c(Math.log2(bytes)));

/**
 * At least two iterations at once, upwards, inside the pages at hand. Leaves by `again` when it did any;
 * rCX may then be 0, which the next round finds.
 */
function inBulk(
  m: Machine,
  s: StringOperands,
  pages: { readonly linear: V; readonly write: boolean }[],
  run: (host: readonly B[], bytes: V, iterations: V) => void,
): void {
  const upwards = L.eqz(L.and(m.field(S.rflags), L.c(DF)));
  m.when(upwards, () => {
    const limits = [
      L.add(m.unitsLeft(), L.c(1)),
      ...pages.map(({ linear }) => untilPageEnd(linear, s.bytes)),
    ];
    const iterations = m.variable(s.count());
    for (const limit of limits) {
      const held = m.let(limit);
      iterations.set(L.select(L.ltu(held, iterations.get), held, iterations.get));
    }
    m.when(L.gtu(iterations.get, L.c(1)), () => {
      m.whenMapped(pages, (host) =>
        run(host, m.let(L.mul(iterations.get, L.c(s.bytes))), iterations.get),
      );
    });
  });
}

function finishBulk(m: Machine, s: StringOperands, registers: number[], bytes: V, n: V): void {
  for (const register of registers) s.advance(register, bytes);
  const left = m.let(L.sub(s.count(), n));
  s.putCount(left);
  m.spend(L.sub(n, L.c(1)));
  m.when(
    L.ne(L.zx(left, 8 * m.key.addressSize), L.c(0)),
    () => m.again(),
    () => m.next(),
  );
}

function moveBulk(m: Machine, s: StringOperands): void {
  const from = m.let(s.source());
  const to = m.let(s.target(true));
  inBulk(
    m,
    s,
    [
      { linear: from, write: false },
      { linear: to, write: true },
    ],
    ([source, target], bytes, iterations) => {
      // A target inside the source range repeats a pattern, which memory.copy does not.
      const apart = L.geu(L.zx(L.sub(L.fromI32(target!), L.fromI32(source!)), 32), bytes);
      m.when(apart, () => {
        m.copyBytes(target!, source!, bytes);
        finishBulk(m, s, [GPR.rsi, GPR.rdi], bytes, iterations);
      });
    },
  );
}

function storeBulk(m: Machine, s: StringOperands): void {
  const to = m.let(s.target(true));
  inBulk(m, s, [{ linear: to, write: true }], ([target], bytes, iterations) => {
    m.fill(target!, m.let(m.reg(GPR.rax, s.bits)), s.bytes, bytes);
    finishBulk(m, s, [GPR.rdi], bytes, iterations);
  });
}

function compare(m: Machine, s: StringOperands, a: V, b: V): B | undefined {
  const result = m.let(L.sx(L.sub(a, b), s.bits));
  m.flagsSub(s.bits, a, b, result);
  // F3 goes on while equal, F2 while different.
  if (!s.repeated) return undefined;
  return m.key.rep === 0xf3 ? L.ne(result, L.c(0)) : L.eqz(result);
}

export const string: Readonly<Record<string, Semantic>> = {
  movs: repeating((m, s) => {
    const value = m.load(s.source(), s.bits);
    m.reserve(s.target(true), s.bytes).set(value, s.bits);
    const step = m.let(s.step());
    s.advance(GPR.rsi, step);
    s.advance(GPR.rdi, step);
    return undefined;
  }, moveBulk),
  stos: repeating((m, s) => {
    m.reserve(s.target(true), s.bytes).set(m.reg(GPR.rax, s.bits), s.bits);
    s.advance(GPR.rdi, s.step());
    return undefined;
  }, storeBulk),
  lods: repeating((m, s) => {
    const value = m.load(s.source(), s.bits);
    s.advance(GPR.rsi, s.step());
    m.put(GPR.rax, value, s.bits);
    return undefined;
  }),
  scas: repeating((m, s) => {
    const b = m.load(s.target(false), s.bits);
    s.advance(GPR.rdi, s.step());
    return compare(m, s, m.let(m.reg(GPR.rax, s.bits)), b);
  }),
  cmps: repeating((m, s) => {
    // Which of two faults comes first is not laid down; this is the order of the processors tested.
    const b = m.load(s.target(false), s.bits);
    const a = m.load(s.source(), s.bits);
    const step = m.let(s.step());
    s.advance(GPR.rsi, step);
    s.advance(GPR.rdi, step);
    return compare(m, s, a, b);
  }),
  xlat: {
    uses: "afs",
    emit: (m) => {
      const at = L.add(m.regU(GPR.rbx, 8 * m.key.addressSize), m.regU(GPR.rax, 8));
      const offset = L.zx(at, 8 * m.key.addressSize);
      m.put(GPR.rax, m.load(m.linear("source", offset, 1, false), 8), 8);
    },
  },
};
