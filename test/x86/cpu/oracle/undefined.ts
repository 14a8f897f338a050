import { decode } from "../../../../src/x86/cpu/decode";
import type { Insn } from "../../../../src/x86/cpu/insn";
import { undefinedFlags, undefinedResult } from "../../../../src/x86/cpu/undefined-flags";
import type { Case } from "./case";

const RCX = 1;
const SHIFTS = new Set("rol ror rcl rcr shl shr sar shld shrd".split(" "));

/** The case's instruction as the project's decoder sees it; bytes after it are missing. */
export const decodeCase = (each: Case): Insn | undefined =>
  decode({ byte: (n) => each.code[n] ?? -1 }, BigInt(each.ip), each.mode);

interface Sizes {
  readonly name: string;
  readonly bits: number;
  readonly count: number;
}

function sizesOf(each: Case, gpr: readonly bigint[]): Sizes {
  const insn = decodeCase(each);
  if (!insn) return { name: "", bits: 0, count: 0 };
  const [target] = insn.operands;
  const size = target?.kind === "reg" || target?.kind === "mem" ? target.size : insn.operandSize;
  const last = insn.operands.at(-1);
  const raw = last?.kind === "imm" ? last.value : gpr[RCX]!;
  const count = SHIFTS.has(insn.name) ? Number(raw & (size === 8 ? 63n : 31n)) : 0;
  return { name: insn.name, bits: 8 * size, count };
}

/** Flags that the manual leaves undefined after this case. */
export function undefinedFlagsOf(each: Case, gpr: readonly bigint[]): number {
  const { name, bits, count } = sizesOf(each, gpr);
  return Number(undefinedFlags(name, bits, count));
}

/** Cases of which the manual does not even say the result are not worth keeping. */
export function hasUndefinedResult(each: Case, gpr: readonly bigint[]): boolean {
  const { name, bits, count } = sizesOf(each, gpr);
  return undefinedResult(name, bits, count);
}
