/**
 * WebAssembly expressions as nested byte arrays, flattened once when a module is built. `V` leaves one
 * i64 on the stack, `B` one i32. An expression is evaluated where it is used: what is used twice goes
 * through a local.
 */
export type Code = readonly (number | Code)[];
export type V = Code;
export type B = Code;

export const I32 = 0x7f;
export const I64 = 0x7e;
export const VOID = 0x40;

/** Unsigned LEB128. */
export function uleb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest = Math.floor(rest / 128);
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** Signed LEB128. */
export function sleb(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && !(low & 0x40)) || (rest === -1n && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

/** The same for the small numbers that make up nearly all constants. */
function slebSmall(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = rest === (low & 0x40 ? -1 : 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}
const slebOf = (value: bigint | number): number[] =>
  typeof value === "number" && (value | 0) === value
    ? slebSmall(value)
    : sleb(BigInt.asIntN(64, BigInt(value)));

/** Bytes being collected. */
export class ByteSink {
  private bytes = new Uint8Array(1 << 12);
  length = 0;

  push(byte: number): void {
    if (this.length === this.bytes.length) this.grow(this.length + 1);
    this.bytes[this.length++] = byte;
  }
  /** Flattens `code` into the sink. */
  code(code: Code): this {
    for (let n = 0; n < code.length; n++) {
      const part = code[n]!;
      if (typeof part === "number") this.push(part);
      else this.code(part);
    }
    return this;
  }
  append(other: ByteSink): this {
    this.grow(this.length + other.length);
    this.bytes.set(other.view(), this.length);
    this.length += other.length;
    return this;
  }
  /** What was collected; valid until the next change. */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }
  private grow(needed: number): void {
    if (needed <= this.bytes.length) return;
    const bigger = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
    bigger.set(this.view());
    this.bytes = bigger;
  }
}

const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, opcode];
const unary =
  (opcode: number) =>
  (a: Code): Code => [a, opcode];
/** Loads and stores carry an alignment hint, always 0 here (unaligned), and a constant offset. */
const load =
  (opcode: number) =>
  (address: B, offset = 0): Code => [address, opcode, 0, uleb(offset)];
const store =
  (opcode: number) =>
  (address: B, value: Code, offset = 0): Code => [address, value, opcode, 0, uleb(offset)];

/** 64-bit operations. */
export const L = {
  c: (value: bigint | number): V => [0x42, slebOf(value)],
  eqz: unary(0x50),
  eq: binary(0x51),
  ne: binary(0x52),
  lts: binary(0x53),
  ltu: binary(0x54),
  gts: binary(0x55),
  gtu: binary(0x56),
  les: binary(0x57),
  leu: binary(0x58),
  ges: binary(0x59),
  geu: binary(0x5a),
  clz: unary(0x79),
  ctz: unary(0x7a),
  popcnt: unary(0x7b),
  add: binary(0x7c),
  sub: binary(0x7d),
  mul: binary(0x7e),
  divs: binary(0x7f),
  divu: binary(0x80),
  rems: binary(0x81),
  remu: binary(0x82),
  and: binary(0x83),
  or: binary(0x84),
  xor: binary(0x85),
  shl: binary(0x86),
  shrs: binary(0x87),
  shru: binary(0x88),
  not: (a: V): V => [a, 0x42, 0x7f, 0x85],
  /** Sign-extends the low 8, 16 or 32 bits; 64 leaves the value. */
  sx: (a: V, bits: number): V =>
    bits === 64 ? a : [a, bits === 32 ? 0xc4 : bits === 16 ? 0xc3 : 0xc2],
  /** Zero-extends the low `bits` bits. */
  zx: (a: V, bits: number): V =>
    bits === 64 ? a : [a, 0x42, sleb((1n << BigInt(bits)) - 1n), 0x83],
  fromI32: unary(0xad),
  select: (condition: B, yes: V, no: V): V => [yes, no, condition, 0x1b],
  load8u: load(0x31),
  load: load(0x29),
  store: store(0x37),
  loadS: (bits: number, address: B, offset = 0): V =>
    load({ 8: 0x30, 16: 0x32, 32: 0x34, 64: 0x29 }[bits]!)(address, offset),
  loadU: (bits: number, address: B, offset = 0): V =>
    load({ 8: 0x31, 16: 0x33, 32: 0x35, 64: 0x29 }[bits]!)(address, offset),
  storeN: (bits: number, address: B, value: V, offset = 0): Code =>
    store({ 8: 0x3c, 16: 0x3d, 32: 0x3e, 64: 0x37 }[bits]!)(address, value, offset),
} as const;

/** 32-bit operations: conditions and addresses. */
export const W = {
  c: (value: number): B => [0x41, slebSmall(value)],
  eqz: unary(0x45),
  eq: binary(0x46),
  ne: binary(0x47),
  lts: binary(0x48),
  ltu: binary(0x49),
  gts: binary(0x4a),
  gtu: binary(0x4b),
  ges: binary(0x4e),
  geu: binary(0x4f),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shru: binary(0x76),
  popcnt: unary(0x69),
  wrap: unary(0xa7),
  load8u: load(0x2d),
  load16u: load(0x2f),
  load: load(0x28),
  store: store(0x36),
  store8: store(0x3a),
  select: (condition: B, yes: B, no: B): B => [yes, no, condition, 0x1b],
} as const;

/** Control flow and locals. */
export const X = {
  get: (local: number): Code => [0x20, uleb(local)],
  set: (local: number, value: Code): Code => [value, 0x21, uleb(local)],
  tee: (local: number, value: Code): Code => [value, 0x22, uleb(local)],
  br: (depth: number): Code => [0x0c, uleb(depth)],
  brIf: (condition: B, depth: number): Code => [condition, 0x0d, uleb(depth)],
  ret: (value: Code): Code => [value, 0x0f],
  call: (fn: number, ...args: Code[]): Code => [args, 0x10, uleb(fn)],
  callIndirect: (type: number, index: B, ...args: Code[]): Code => [
    args,
    index,
    0x11,
    uleb(type),
    0,
  ],
  block: (...body: Code[]): Code => [0x02, VOID, body, 0x0b],
  loop: (...body: Code[]): Code => [0x03, VOID, body, 0x0b],
  if: (condition: B, yes: Code, no?: Code): Code => [
    condition,
    0x04,
    VOID,
    yes,
    no ? [0x05, no] : [],
    0x0b,
  ],
  ifElse: (type: number, condition: B, yes: Code, no: Code): Code => [
    condition,
    0x04,
    type,
    yes,
    0x05,
    no,
    0x0b,
  ],
  brTable: (index: B, targets: readonly number[], otherwise: number): Code => [
    index,
    0x0e,
    uleb(targets.length),
    targets.map(uleb),
    uleb(otherwise),
  ],
  unreachable: [0x00] as Code,
  memoryCopy: (to: B, from: B, bytes: B): Code => [to, from, bytes, 0xfc, 10, 0, 0],
  memoryFill: (to: B, byte: B, bytes: B): Code => [to, byte, bytes, 0xfc, 11, 0],
} as const;
