import type { Form, Key } from "./handler-key";
import {
  GPR,
  JUMP_CACHE,
  JUMP_CACHE_ENTRIES,
  S,
  SEG_BYTES,
  type SegIndex,
  TLB_FIELD,
} from "./layout";
import { LazyFlags } from "./lazy-flags";
import type { Machine, Place, Reserved } from "./machine";
import { EXIT, FIRST_EXIT, MISS, RECORD, RECORD_BYTES } from "./record";
import { type B, type Code, I32, I64, L, type V, W, X } from "./wasm/code";

/** Locals of every function with handlers: three parameters or their like, then two pools. */
export const LOCAL = { record: 0, bank: 1, mask: 2 } as const;
const POOL_64 = 3;
const POOL_64_SIZE = 30;
const POOL_32 = POOL_64 + POOL_64_SIZE;
const POOL_32_SIZE = 24;
export const POOL_LOCALS: readonly number[] = [
  ...Array<number>(POOL_64_SIZE).fill(I64),
  ...Array<number>(POOL_32_SIZE).fill(I32),
];

/** Indices of the module's shared functions. */
export interface SharedFunctions {
  readonly slow: number;
  readonly find: number;
  readonly segmentLinear: number;
  readonly mulHighU: number;
  readonly divide128: number;
  readonly flags: number;
  readonly setFlags: number;
  readonly canonical: number;
}

/**
 * Where a handler goes on: `next` (the following record; `record` still holds this one) and `enter` (a
 * block header now in `record`). Hot handlers branch, cold ones return to the dispatcher.
 */
export interface Continuation {
  next(depth: number): Code;
  enter(depth: number): Code;
}

const ZERO = W.c(0);

/** Offset of a segment in the struct. */
export const segmentAt = (segment: number): number => S.seg + SEG_BYTES * segment;

/** Generates one handler's code. Operands come from the record, registers stay in memory. */
export class Tier1Machine extends LazyFlags implements Machine {
  private readonly stack: Code[][] = [[]];
  private used64 = 0;
  private used32 = 0;
  private depth = 0;
  private ended = false;

  constructor(
    readonly key: Key,
    private readonly shared: SharedFunctions,
    private readonly continuation: Continuation,
  ) {
    super();
  }

  /** The whole handler, continuing at the next record unless the semantics ended the block. */
  finish(): Code {
    if (!this.ended) this.emit(this.continuation.next(0));
    return this.stack[0]!;
  }

  private emit(code: Code): void {
    this.stack.at(-1)!.push(code);
  }
  private local64(): number {
    if (this.used64 === POOL_64_SIZE) throw new Error(`too many locals in ${this.key.text}`);
    return POOL_64 + this.used64++;
  }
  private local32(): number {
    if (this.used32 === POOL_32_SIZE) throw new Error(`too many locals in ${this.key.text}`);
    return POOL_32 + this.used32++;
  }

  let(value: V): V {
    const local = this.local64();
    this.emit(X.set(local, value));
    return X.get(local);
  }
  letB(value: B): B {
    const local = this.local32();
    this.emit(X.set(local, value));
    return X.get(local);
  }
  variable(initial: V): { get: V; set(value: V): void } {
    const local = this.local64();
    this.emit(X.set(local, initial));
    return { get: X.get(local), set: (value) => this.emit(X.set(local, value)) };
  }

  private get record(): B {
    return X.get(LOCAL.record);
  }
  private slot(field: number): B {
    return W.load16u(this.record, field);
  }

  op(n: number): Place {
    const form = this.key.forms[n];
    if (!form) throw new Error(`${this.key.text} has no operand ${n}`);
    const bits = 8 * form.size;
    switch (form.letter) {
      case "r":
        return this.registerPlace(n, bits);
      case "c":
        return this.readOnly(8, L.load8u(ZERO, S.gpr + 8 * GPR.rcx));
      case "i": {
        // A second immediate (ENTER) takes the place of the displacement.
        const first = this.key.forms.findIndex(({ letter }) => letter === "i") === n;
        return this.readOnly(64, L.load(this.record, first ? RECORD.imm : RECORD.disp));
      }
      case "s":
        return this.readOnly(16, L.loadU(16, this.slot(RECORD.r2)));
      case "j":
        throw new Error("branch targets are not values");
      default:
        return this.memoryPlace(n, form);
    }
  }

  private readOnly(bits: number, value: V): Place {
    const refuse = (): never => {
      throw new Error(`write to a constant operand of ${this.key.text}`);
    };
    return { bits, isMemory: false, get: () => value, put: refuse, modify: refuse };
  }

  private registerPlace(n: number, bits: number): Place {
    const earlier = this.key.forms.slice(0, n).filter(({ letter }) => letter === "r").length;
    const slot = this.slot(earlier === 0 ? RECORD.r1 : RECORD.r2);
    const get = (): V => L.loadS(bits, slot);
    const put = (value: V): void =>
      this.emit(bits === 32 ? L.store(slot, L.zx(value, 32)) : L.storeN(bits, slot, value));
    return { bits, isMemory: false, get, put, modify: () => ({ get, put }) };
  }

  private memoryPlace(n: number, form: Form): Place {
    const bits = 8 * form.size;
    return {
      bits,
      isMemory: true,
      get: () => this.load(this.linearOf(n, form.size, undefined, false), bits),
      put: (value) => {
        const held = this.let(value);
        this.reserve(this.linearOf(n, form.size, undefined, true), form.size).set(held, bits);
      },
      modify: () => {
        const linear = this.linearOf(n, form.size, undefined, true);
        const place = this.reserve(linear, form.size, "reads");
        return { get: () => place.get(bits), put: (value) => place.set(value, bits) };
      },
    };
  }

  private offset(indexed: boolean, more: V | undefined): V {
    const base = L.add(L.load(this.slot(RECORD.base)), L.load(this.record, RECORD.disp));
    const whole = indexed
      ? L.add(
          base,
          L.shl(L.load(this.slot(RECORD.indexRegister)), L.load8u(this.record, RECORD.scale)),
        )
      : base;
    return more ? L.add(whole, more) : whole;
  }

  ea(n: number): V {
    const bits = 8 * this.key.addressSize;
    return L.zx(this.offset(this.key.forms[n]!.letter !== "M", undefined), bits);
  }

  linearOf(n: number, bytes: number, more: V | undefined, write: boolean): V {
    const { letter } = this.key.forms[n]!;
    if (letter !== "G") return L.and(this.offset(letter === "X", more), X.get(LOCAL.mask));
    const size = this.slot(RECORD.addressSize);
    const mask = L.shru(L.c(-1), L.sub(L.c(64), L.shl(L.fromI32(size), L.c(3))));
    return X.call(
      this.shared.segmentLinear,
      L.and(this.offset(true, more), mask),
      this.slot(RECORD.segment),
      W.c(bytes | (write ? MISS.write : 0)),
    );
  }

  ifStackBased(value: number): V {
    const based = W.eq(this.slot(RECORD.base), W.c(S.gpr + 8 * GPR.rsp));
    return L.select(based, L.c(value), L.c(0));
  }

  nextIp(): V {
    const indirect = this.key.forms[0]?.letter !== "j";
    return L.load(this.record, indirect ? RECORD.imm : RECORD.nextIp);
  }

  reg(index: number, bits: number): V {
    return L.loadS(bits, ZERO, S.gpr + 8 * index);
  }
  regU(index: number, bits: number): V {
    return L.loadU(bits, ZERO, S.gpr + 8 * index);
  }
  put(index: number, value: V, bits: number): void {
    const at = S.gpr + 8 * index;
    this.emit(bits === 32 ? L.store(ZERO, L.zx(value, 32), at) : L.storeN(bits, ZERO, value, at));
  }
  ah(): V {
    return L.load8u(ZERO, S.gpr + 1);
  }
  putAh(value: V): void {
    this.emit(L.storeN(8, ZERO, value, S.gpr + 1));
  }
  field(offset: number): V {
    return L.load(ZERO, offset);
  }
  setField(offset: number, value: V): void {
    this.emit(L.store(ZERO, value, offset));
  }

  linear(segment: SegIndex | "source", offset: V, bytes: number, write: boolean): V {
    if (this.key.flat) return L.and(offset, X.get(LOCAL.mask));
    const at = segment === "source" ? this.slot(RECORD.segment) : W.c(segmentAt(segment));
    return X.call(this.shared.segmentLinear, offset, at, W.c(bytes | (write ? MISS.write : 0)));
  }

  /** TLB entry address of `linear` relative to the banks' start. */
  private entry(linear: V): B {
    return W.add(W.and(W.shru(W.wrap(linear), W.c(7)), W.c(0x7fe0)), X.get(LOCAL.bank));
  }
  private matches(linear: V, entry: B, bytes: number, write: boolean): B {
    const last = bytes === 1 ? linear : L.add(linear, L.c(bytes - 1));
    const tag = S.tlb + (write ? TLB_FIELD.write : TLB_FIELD.read);
    return L.eq(L.and(last, L.c(-4096)), L.load(entry, tag));
  }
  private hostAddress(linear: V, entry: B): B {
    return W.add(W.wrap(linear), W.load(entry, S.tlb + TLB_FIELD.delta));
  }

  private translate(linear: V, kind: number): B {
    const bytes = kind & MISS.bytes;
    const write = (kind & MISS.write) !== 0;
    const va = this.let(linear);
    const entry = this.letB(this.entry(va));
    const host = this.local32();
    this.emit(
      X.if(this.matches(va, entry, bytes, write), X.set(host, this.hostAddress(va, entry)), [
        X.set(host, X.call(this.shared.slow, va, W.c(kind), this.record)),
        X.if(W.geu(X.get(host), W.c(FIRST_EXIT)), X.ret(X.get(host))),
      ]),
    );
    return X.get(host);
  }

  load(linear: V, bits: number, stack = false): V {
    const host = this.translate(linear, (bits / 8) | (stack ? MISS.stack : 0));
    return this.let(L.loadS(bits, host));
  }
  reserve(linear: V, bytes: number, how?: "stack" | "reads"): Reserved {
    const host = this.translate(linear, bytes | MISS.write | (how ? MISS[how] : 0));
    return {
      get: (bits, at = 0) => L.loadS(bits, host, at),
      set: (value, bits, at = 0) => this.emit(L.storeN(bits, host, value, at)),
    };
  }

  stackPointer(): V {
    return L.and(this.reg(GPR.rsp, 64), L.load(ZERO, S.stackMask));
  }
  stackAdd(pointer: V, delta: number | V): V {
    const by = typeof delta === "number" ? L.c(delta) : delta;
    return L.and(L.add(pointer, by), L.load(ZERO, S.stackMask));
  }
  putStackPointer(pointer: V): void {
    if (this.key.flat) {
      this.put(GPR.rsp, pointer, 64);
      return;
    }
    const mask = L.load(ZERO, S.stackMask);
    // Only a 16-bit stack keeps what lies above it: a 32-bit one zero-extends.
    const short = L.eq(mask, L.c(0xffff));
    const kept = L.and(this.reg(GPR.rsp, 64), L.c(-0x10000));
    this.put(GPR.rsp, L.select(short, L.or(kept, pointer), pointer), 64);
  }

  arithmeticFlags(): V {
    return X.call(this.shared.flags);
  }
  setArithmeticFlags(value: V): void {
    this.emit(X.call(this.shared.setFlags, value));
  }

  private inside(body: () => void): Code {
    this.stack.push([]);
    this.depth++;
    body();
    this.depth--;
    return this.stack.pop()!;
  }
  both(a: B, b: B): B {
    return W.and(a, b);
  }
  when(condition: B, then: () => void, otherwise?: () => void): void {
    const ended = this.ended;
    const yes = this.inside(then);
    const no = otherwise ? this.inside(otherwise) : undefined;
    this.ended = ended;
    this.emit(X.if(condition, yes, no));
  }
  loopWhile(body: () => B): void {
    this.stack.push([]);
    this.depth++;
    const again = body();
    this.depth--;
    this.emit(X.loop(this.stack.pop()!, X.brIf(again, 0)));
  }
  fault(vector: number, error?: number): void {
    this.emit([
      W.store(ZERO, W.c(vector), S.faultVec),
      W.store(ZERO, W.c(error ?? 0), S.faultErr),
      W.store(ZERO, this.record, S.exitRec),
      X.ret(W.c(-EXIT.fault)),
    ]);
  }
  mulHighU(a: V, b: V): V {
    return X.call(this.shared.mulHighU, a, b);
  }
  divide128(high: V, low: V, divisor: V, signed: boolean): B {
    this.setField(S.scratch, low);
    this.setField(S.scratch + 8, high);
    this.setField(S.scratch + 16, divisor);
    return this.letB(X.call(this.shared.divide128, W.c(signed ? 1 : 0)));
  }

  private enter(header: Code): void {
    this.emit([X.set(LOCAL.record, header), this.continuation.enter(this.depth)]);
    if (this.depth === 0) this.ended = true;
  }
  /** Follows the link at `link`, or finds the block of `ip` when there is none. */
  private follow(link: B, ip: V): void {
    const header = this.local32();
    this.emit([
      X.set(header, link),
      X.if(X.get(header), [
        X.set(LOCAL.record, X.get(header)),
        this.continuation.enter(this.depth + 1),
      ]),
    ]);
    this.emit([
      W.store(ZERO, this.record, S.exitRec),
      X.set(header, X.call(this.shared.find, ip)),
      X.if(W.eqz(X.get(header)), X.ret(W.c(-EXIT.lookup))),
    ]);
    this.enter(X.get(header));
  }
  branch(condition: B): void {
    const taken = this.letB(condition);
    const cell = W.add(this.record, W.shl(W.eqz(taken), W.c(2)));
    this.follow(
      W.load(cell, RECORD.taken),
      L.select(taken, L.load(this.record, RECORD.target), L.load(this.record, RECORD.nextIp)),
    );
  }
  jump(): void {
    this.follow(W.load(this.record, RECORD.taken), L.load(this.record, RECORD.target));
  }
  jumpTo(ip: V): void {
    const to = this.let(ip);
    const entry = this.letB(jumpCacheEntry(to));
    this.emit([
      X.if(
        W.and(
          L.eq(L.load(entry, JUMP_CACHE), to),
          W.eq(W.load(entry, JUMP_CACHE + 8), W.load(ZERO, S.jumpKey)),
        ),
        [
          X.set(LOCAL.record, W.load(entry, JUMP_CACHE + 12)),
          this.continuation.enter(this.depth + 1),
        ],
      ),
      L.store(ZERO, to, S.rip),
      W.store(ZERO, ZERO, S.exitRec),
      X.ret(W.c(-EXIT.lookup)),
    ]);
    if (this.depth === 0) this.ended = true;
  }
  leaveChanged(ip: V): void {
    this.emit([
      L.store(ZERO, ip, S.rip),
      W.store(ZERO, this.record, S.exitRec),
      X.ret(W.c(-EXIT.changed)),
    ]);
    if (this.depth === 0) this.ended = true;
  }

  spend(units: V): void {
    this.emit(W.store(ZERO, W.sub(W.load(ZERO, S.budget), W.wrap(units)), S.budget));
  }
  unitsLeft(): V {
    return L.fromI32(W.load(ZERO, S.budget));
  }
  again(): void {
    const ended = this.ended;
    this.enter(W.sub(this.record, W.c(RECORD_BYTES)));
    this.ended = ended || this.depth === 0;
  }
  next(): void {
    this.emit(this.continuation.next(this.depth));
  }
  checkTarget(ip: V): void {
    if (this.key.operandSize !== 8) return;
    this.when(L.ne(L.shrs(L.shl(ip, L.c(16)), L.c(16)), ip), () => {
      // Exact canonical width depends on CR4.LA57, which the rare path looks at.
      this.when(L.eqz(X.call(this.shared.canonical, ip)), () => this.fault(13, 0));
    });
  }

  whenMapped(
    pages: readonly { readonly linear: V; readonly write: boolean }[],
    then: (host: readonly B[]) => void,
  ): void {
    const found = pages.map(({ linear, write }) => {
      const va = this.let(linear);
      const entry = this.letB(this.entry(va));
      return { va, entry, hit: this.matches(va, entry, 1, write) };
    });
    const all = found.map(({ hit }) => hit).reduce((a, b) => W.and(a, b));
    this.when(all, () =>
      then(found.map(({ va, entry }) => this.letB(this.hostAddress(va, entry)))),
    );
  }
  copyBytes(to: B, from: B, bytes: V): void {
    this.emit(X.memoryCopy(to, from, W.wrap(bytes)));
  }
  fill(to: B, value: V, unit: number, bytes: V): void {
    if (unit === 1) {
      this.emit(X.memoryFill(to, W.wrap(value), W.wrap(bytes)));
      return;
    }
    const at = this.local32();
    const end = this.letB(W.add(to, W.wrap(bytes)));
    this.emit([
      X.set(at, to),
      X.loop(
        L.storeN(8 * unit, X.get(at), value),
        X.set(at, W.add(X.get(at), W.c(unit))),
        X.brIf(W.ne(X.get(at), end), 0),
      ),
    ]);
  }
}

/** Offset of the jump-cache entry of `ip` from `JUMP_CACHE`. */
export function jumpCacheEntry(ip: V): B {
  const low = W.wrap(ip);
  const mixed = W.xor(low, W.shru(low, W.c(12)));
  return W.shl(W.and(mixed, W.c(JUMP_CACHE_ENTRIES - 1)), W.c(4));
}

/** The same for TypeScript. */
export function jumpCacheIndex(ip: bigint): number {
  const low = Number(BigInt.asUintN(32, ip));
  return JUMP_CACHE + (((low ^ (low >>> 12)) & (JUMP_CACHE_ENTRIES - 1)) << 4);
}
