import { SPACE } from "./address-space";
import { Random } from "./random";

/** Code size of a case. */
export type Mode = 64 | 32;

/** One instruction with all that it reads. */
export interface Case {
  /** Opcode row, operand form and sizes, for people. */
  readonly form: string;
  readonly mode: Mode;
  readonly ip: number;
  readonly code: Uint8Array;
  /** Which file of `registerFiles()` fills the registers before `set` does. */
  readonly file: number;
  readonly set: readonly (readonly [register: number, value: bigint])[];
  /** CF, PF, AF, ZF, SF, OF, DF as bits 0 … 6. */
  readonly flags: number;
  /** Bytes put into the scratch region, at most 16 a patch. */
  readonly patches: readonly { readonly at: number; readonly bytes: Uint8Array }[];
}

/** What the processor made of it. The trap is #BP when the instruction completed. */
export interface Outcome {
  readonly trap: number;
  readonly error: number;
  readonly cr2: bigint;
  /** Of the next instruction, or of the faulting one; past the INT3 not counted. */
  readonly rip: bigint;
  readonly flags: number;
  readonly gpr: readonly bigint[];
  /** Changed bytes of the scratch region, ascending. */
  readonly changes: readonly (readonly [at: number, value: number])[];
}

export const TRAP = {
  divide: 0,
  breakpoint: 3,
  invalidOpcode: 6,
  protection: 13,
  page: 14,
} as const;

export const REGISTER_FILES = 256;
const RSP = 4;

/** Register contents that cases start from; rSP always points well into the writable scratch pages. */
export function registerFiles(): readonly (readonly bigint[])[] {
  const random = new Random(0x9e6f11e5);
  return Array.from({ length: REGISTER_FILES }, () =>
    Array.from({ length: 16 }, (_, register) =>
      register === RSP ? BigInt(SPACE.scratch + 0x800 + 8 * random.below(0x200)) : random.value(64),
    ),
  );
}

/** The registers as the case finds them. */
export function registersOf(each: Case, files: readonly (readonly bigint[])[]): bigint[] {
  const bits = each.mode;
  const gpr = files[each.file]!.map((value) => BigInt.asUintN(bits, value));
  if (each.mode === 32) gpr.fill(0n, 8);
  for (const [register, value] of each.set) gpr[register] = BigInt.asUintN(bits, value);
  return gpr;
}

const FLAG_BITS = [0x1, 0x4, 0x10, 0x40, 0x80, 0x800, 0x400] as const;

/** RFLAGS with which the case starts: interrupts on, as natively. */
export const flagsOf = (each: Case): number =>
  FLAG_BITS.reduce((all, bit, n) => all | ((each.flags >> n) & 1 ? bit : 0), 0x202);

/** Flags that outcomes are compared in: the arithmetic ones, DF, and what POPF may set (NT, AC, ID). */
export const COMPARED_FLAGS = 0x24_4cd5;
