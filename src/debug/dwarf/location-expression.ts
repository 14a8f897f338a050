import { ByteReader } from "../byte-reader";
import type { Entry } from "./entry";

/** What a location is worked out against: one frame. Registers by DWARF number. */
export interface FrameContext {
  /** In the file's own numbering, without the image's base. */
  readonly pc: bigint;
  readonly base: bigint;
  register(number: number): bigint | undefined;
  /** `undefined` where nothing is mapped. */
  read(address: bigint, size: number): Uint8Array | undefined;
  /** DW_OP_call_frame_cfa. */
  cfa(): bigint | undefined;
  /** DW_OP_fbreg's base; filled in by `locationOf`. */
  frameBase?(): bigint | undefined;
  /** What a register held when the function was entered, if its caller can still tell. */
  entryValue?(register: number): bigint | undefined;
}

/** Where the value of a variable is. */
export type Location =
  | { readonly kind: "memory"; readonly address: bigint }
  | { readonly kind: "register"; readonly register: number }
  | { readonly kind: "value"; readonly value: bigint }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "gone"; readonly why: string };

export const OPTIMISED: Location = { kind: "gone", why: "optimised out here" };

/** Works out a DWARF expression (DWARF 5, 2.5 and 2.6); what it cannot do is `gone` with the reason. */
export function evaluateLocation(
  expression: Uint8Array,
  entry: Entry | undefined,
  frame: FrameContext,
  initial: readonly bigint[] = [],
): Location {
  const r = new ByteReader(expression);
  const stack: bigint[] = [...initial];
  const pop = (): bigint => stack.pop() ?? 0n;
  const push = (value: bigint | undefined): boolean => {
    if (value === undefined) return false;
    stack.push(BigInt.asUintN(64, value));
    return true;
  };
  const size = entry?.unit.addressSize ?? 8;
  // Expressions may jump backwards: only a damaged one takes this many steps.
  for (let steps = 0; r.more && steps < 1000; steps++) {
    const op = r.u8();
    let known = true;
    if (op >= 0x30 && op <= 0x4f) push(BigInt(op - 0x30));
    else if (op >= 0x50 && op <= 0x6f) return registerOr(op - 0x50, r);
    else if (op >= 0x70 && op <= 0x8f) known = push(plus(frame.register(op - 0x70), r.sleb()));
    else if (BINARY[op]) push(BINARY[op](pop(), pop()));
    else if (CONSTANTS[op]) push(CONSTANTS[op](r));
    else
      switch (op) {
        case 0x03:
          push(r.unsigned(size) + frame.base);
          break;
        case 0xa1:
          known = push(plus(entry?.indexedAddress(r.count()), frame.base));
          break;
        case 0x06:
          known = push(dereference(frame, pop(), size));
          break;
        case 0x94:
          known = push(dereference(frame, pop(), r.u8()));
          break;
        case 0x12:
          push(stack.at(-1));
          break;
        case 0x13:
          pop();
          break;
        case 0x14:
          push(stack.at(-2));
          break;
        case 0x16:
          stack.push(pop(), pop());
          break;
        case 0x1f:
          push(-pop());
          break;
        case 0x20:
          push(~pop());
          break;
        case 0x23:
          push(pop() + r.uleb());
          break;
        case 0x90:
          return registerOr(r.count(), r);
        case 0x91:
          known = push(plus(frame.frameBase?.(), r.sleb()));
          break;
        case 0x92:
          known = push(plus(frame.register(r.count()), r.sleb()));
          break;
        case 0x96:
          break;
        case 0x9c:
          known = push(frame.cfa());
          break;
        case 0x9e:
          return { kind: "bytes", bytes: r.block(r.count()) };
        case 0x9f:
          return { kind: "value", value: pop() };
        case 0xa3:
        case 0xf3:
          if (!push(entryValue(r.block(r.count()), frame))) return OPTIMISED;
          break;
        case 0x93:
          return { kind: "gone", why: "split over several places" };
        default:
          return {
            kind: "gone",
            why: `its place uses DW_OP 0x${op.toString(16)}, which is not read`,
          };
      }
    if (!known) return { kind: "gone", why: "its place needs a register this frame does not have" };
  }
  if (r.failed || stack.length === 0) return OPTIMISED;
  return { kind: "memory", address: pop() };
}

/** DW_OP_entry_value of a register (DWARF 5, 2.5.1.7); of anything else it is not worked out. */
function entryValue(expression: Uint8Array, frame: FrameContext): bigint | undefined {
  const [op = 0] = expression;
  const single = expression.length === 1 && op >= 0x50 && op <= 0x6f;
  return single ? frame.entryValue?.(op - 0x50) : undefined;
}

/** A register alone is a location; with a piece behind it the rest is somewhere else. */
const registerOr = (register: number, rest: ByteReader): Location =>
  rest.more ? { kind: "gone", why: "split over several places" } : { kind: "register", register };

const plus = (a: bigint | undefined, b: bigint): bigint | undefined =>
  a === undefined ? undefined : a + b;

function dereference(frame: FrameContext, address: bigint, size: number): bigint | undefined {
  const bytes = frame.read(address, size);
  return bytes && [1, 2, 4, 8].includes(size) ? new ByteReader(bytes).unsigned(size) : undefined;
}

const truth = (value: boolean): bigint => (value ? 1n : 0n);
const signed = (value: bigint): bigint => BigInt.asIntN(64, value);

/** The first argument was on top of the stack. */
const BINARY: Readonly<Record<number, (b: bigint, a: bigint) => bigint>> = {
  26: (b, a) => a & b,
  27: (b, a) => (b === 0n ? 0n : signed(a) / signed(b)),
  28: (b, a) => a - b,
  29: (b, a) => (b === 0n ? 0n : a % b),
  30: (b, a) => a * b,
  33: (b, a) => a | b,
  34: (b, a) => a + b,
  36: (b, a) => (b < 64n ? a << b : 0n),
  37: (b, a) => (b < 64n ? a >> b : 0n),
  38: (b, a) => signed(a) >> (b < 63n ? b : 63n),
  39: (b, a) => a ^ b,
  41: (b, a) => truth(signed(a) === signed(b)),
  42: (b, a) => truth(signed(a) >= signed(b)),
  43: (b, a) => truth(signed(a) > signed(b)),
  44: (b, a) => truth(signed(a) <= signed(b)),
  45: (b, a) => truth(signed(a) < signed(b)),
  46: (b, a) => truth(signed(a) !== signed(b)),
};

const CONSTANTS: Readonly<Record<number, (r: ByteReader) => bigint>> = {
  8: (r) => BigInt(r.u8()),
  9: (r) => BigInt(r.i8()),
  10: (r) => BigInt(r.u16()),
  11: (r) => BigInt.asIntN(16, BigInt(r.u16())),
  12: (r) => BigInt(r.u32()),
  13: (r) => BigInt.asIntN(32, BigInt(r.u32())),
  14: (r) => r.u64(),
  15: (r) => r.i64(),
  16: (r) => r.uleb(),
  17: (r) => r.sleb(),
};
