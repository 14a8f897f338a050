import { CR4, JUMP_CACHE, S, SEG_FIELD } from "./layout";
import { MISS, SEGMENT_FAILED } from "./record";
import { jumpCacheEntry, type SharedFunctions, segmentAt } from "./tier1-machine";
import { I32, I64, L, type V, W, X } from "./wasm/code";
import type { ModuleBuilder } from "./wasm/encode";

/** Functions that handlers call for what is rare or long. */

const ZERO = W.c(0);

/** `slow(va, kind, record)`: notes what TypeScript needs to know and asks it; a host address or an exit. */
function defineSlow(module: ModuleBuilder, miss: number, index: number): void {
  module.define(
    index,
    [],
    [
      L.store(ZERO, X.get(0), S.faultVa),
      W.store(ZERO, X.get(2), S.exitRec),
      X.call(miss, X.get(1)),
    ],
  );
}

/** `find(ip)`: the header of the block at `ip` by the jump cache; else 0, with rip set. */
function defineFind(module: ModuleBuilder, index: number): void {
  const entry = X.get(1);
  module.define(
    index,
    [I32],
    [
      X.set(1, jumpCacheEntry(X.get(0))),
      X.if(
        W.and(
          L.eq(L.load(entry, JUMP_CACHE), X.get(0)),
          W.eq(W.load(entry, JUMP_CACHE + 8), W.load(ZERO, S.jumpKey)),
        ),
        X.ret(W.load(entry, JUMP_CACHE + 12)),
      ),
      L.store(ZERO, X.get(0), S.rip),
      ZERO,
    ],
  );
}

/**
 * `segmentLinear(offset, segment, kind)`: quick limit check and base (SDM 3A 5.3). What it cannot decide
 * (limits, type, null) gives SEGMENT_FAILED, which no TLB entry matches.
 */
function defineSegmentLinear(module: ModuleBuilder, index: number): void {
  const offset = X.get(0);
  const segment = X.get(1);
  const base = L.load(segment, SEG_FIELD.base);
  const low = L.loadU(32, segment, SEG_FIELD.lo);
  const high = L.loadU(32, segment, SEG_FIELD.hi);
  const bytes = W.and(X.get(2), W.c(MISS.bytes));
  const last = L.add(offset, L.fromI32(W.sub(bytes, W.c(1))));
  // Type bits: S, code, writable (of data) or readable (of code).
  const type = W.and(W.load(segment, SEG_FIELD.attr), W.c(0x1a));
  const wrongType = W.select(
    W.and(X.get(2), W.c(MISS.write)),
    W.ne(type, W.c(0x12)),
    W.eq(type, W.c(0x18)),
  );
  module.define(
    index,
    [],
    [
      X.if(W.load(ZERO, S.code64), [
        // Only FS and GS have a base in 64-bit code.
        X.if(W.ltu(segment, W.c(segmentAt(4))), X.ret(offset)),
        X.ret(L.add(offset, base)),
      ]),
      X.if(W.or(W.or(L.ltu(offset, low), L.gtu(last, high)), wrongType), [
        L.store(ZERO, offset, S.segmentOffset),
        W.store(ZERO, segment, S.segmentAt),
        X.ret(L.c(SEGMENT_FAILED)),
      ]),
      L.and(L.add(offset, base), L.c(0xffff_ffff)),
    ],
  );
}

/** `mulHighU(a, b)`: upper half of the 128-bit product, from four 32-bit ones. */
function defineMulHigh(module: ModuleBuilder, index: number): void {
  const low = (value: V): V => L.and(value, L.c(0xffff_ffff));
  const high = (value: V): V => L.shru(value, L.c(32));
  const [a, b, cross] = [X.get(0), X.get(1), X.get(2)];
  module.define(
    index,
    [I64],
    [
      X.set(2, L.add(L.mul(high(a), low(b)), high(L.mul(low(a), low(b))))),
      L.add(
        L.add(L.mul(high(a), high(b)), high(cross)),
        high(L.add(L.mul(low(a), high(b)), low(cross))),
      ),
    ],
  );
}

/** `flags()`: the six arithmetic flags at their places in RFLAGS, from the lazy words. */
function defineFlags(module: ModuleBuilder, index: number): void {
  const result = X.get(0);
  const vector = X.get(1);
  const odd = W.and(W.popcnt(W.and(W.wrap(result), W.c(0xff))), W.c(1));
  const parity = W.eqz(W.or(odd, W.and(W.wrap(vector), W.c(2))));
  const bit = (value: V, at: number): V => L.shl(value, L.c(at));
  module.define(
    index,
    [I64, I64],
    [
      X.set(0, L.load(ZERO, S.lfRes)),
      X.set(1, L.load(ZERO, S.lfCv)),
      [
        L.shru(vector, L.c(63)),
        bit(L.shru(L.xor(vector, L.shl(vector, L.c(1))), L.c(63)), 11),
        bit(L.fromI32(L.eqz(result)), 6),
        bit(L.shru(L.or(result, L.shl(vector, L.c(61))), L.c(63)), 7),
        bit(L.fromI32(parity), 2),
        bit(L.and(vector, L.c(8)), 1),
      ].reduce((a, b) => L.or(a, b)),
    ],
  );
}

/** `setFlags(value)`: lazy words for any combination, also ones no result has (state.ts, `rflags`). */
function defineSetFlags(module: ModuleBuilder, index: number): void {
  const value = X.get(0);
  const bit = (at: number): V => L.and(L.shru(value, L.c(at)), L.c(1));
  const place = (at: number, to: number): V => L.shl(bit(at), L.c(to));
  const odd = (at: number, to: number): V => L.shl(L.xor(bit(at), L.c(1)), L.c(to));
  const carries = L.or(L.or(place(0, 63), L.shl(L.xor(bit(0), bit(11)), L.c(62))), place(4, 3));
  module.define(
    index,
    [],
    X.ifElse(
      0x40,
      L.ne(bit(6), L.c(0)),
      [
        L.store(ZERO, L.c(0), S.lfRes),
        L.store(ZERO, L.or(carries, L.or(odd(2, 1), place(7, 2))), S.lfCv),
      ],
      [
        L.store(ZERO, L.or(place(7, 63), L.add(L.c(1), place(2, 1))), S.lfRes),
        L.store(ZERO, carries, S.lfCv),
      ],
    ),
  );
}

/** `canonical(ip)`: 57 bits with CR4.LA57, else 48 (SDM 1 3.3.7.1). */
function defineCanonical(module: ModuleBuilder, index: number): void {
  const shift = L.select(L.ne(L.and(L.load(ZERO, S.cr4), L.c(CR4.LA57)), L.c(0)), L.c(7), L.c(16));
  module.define(
    index,
    [I64],
    [X.set(1, shift), L.fromI32(L.eq(L.shrs(L.shl(X.get(0), X.get(1)), X.get(1)), X.get(0)))],
  );
}

/** Imports first: `miss(kind)` and `divide(signed)`. */
export function defineShared(module: ModuleBuilder): SharedFunctions {
  const miss = module.import("miss", { params: [I32], results: [I32] });
  const divide128 = module.import("divide", { params: [I32], results: [I32] });
  const declare = (params: number[], results: number[]): number =>
    module.declare({ params, results });
  const shared: SharedFunctions = {
    slow: declare([I64, I32, I32], [I32]),
    find: declare([I64], [I32]),
    segmentLinear: declare([I64, I32, I32], [I64]),
    mulHighU: declare([I64, I64], [I64]),
    divide128,
    flags: declare([], [I64]),
    setFlags: declare([I64], []),
    canonical: declare([I64], [I64]),
  };
  defineSlow(module, miss, shared.slow);
  defineFind(module, shared.find);
  defineSegmentLinear(module, shared.segmentLinear);
  defineMulHigh(module, shared.mulHighU);
  defineFlags(module, shared.flags);
  defineSetFlags(module, shared.setFlags);
  defineCanonical(module, shared.canonical);
  return shared;
}
