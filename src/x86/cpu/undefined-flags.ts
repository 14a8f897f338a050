import { FLAG } from "./layout";

/**
 * Flags that the manuals leave undefined after an instruction, so that processors differ. The engine
 * gives what is cheap; tests against a real processor leave these out.
 */
interface UndefinedRow {
  readonly names: readonly string[];
  readonly flags: bigint;
  /** Only for such shift counts (already masked to 5 or 6 bits) of such operand sizes. */
  readonly when?: (count: number, bits: number) => boolean;
  /** Section of SDM volume 2 that says so. */
  readonly source: string;
}

const { CF, PF, AF, ZF, SF, OF } = FLAG;

const ROWS: readonly UndefinedRow[] = [
  { names: ["and", "or", "xor", "test"], flags: AF, source: "SDM 2A AND; 2B OR, TEST; 2D XOR" },
  { names: ["mul", "imul"], flags: SF | ZF | AF | PF, source: "SDM 2A IMUL; 2B MUL" },
  { names: ["div", "idiv"], flags: CF | OF | SF | ZF | AF | PF, source: "SDM 2A DIV, IDIV" },
  { names: ["bt", "bts", "btr", "btc"], flags: OF | SF | AF | PF, source: "SDM 2A BT" },
  { names: ["bsf", "bsr"], flags: CF | OF | SF | AF | PF, source: "SDM 2A BSF, BSR" },
  { names: ["lzcnt"], flags: OF | SF | PF | AF, source: "SDM 2A LZCNT" },
  { names: ["aaa", "aas"], flags: OF | SF | ZF | PF, source: "SDM 2A AAA, AAS" },
  { names: ["aam", "aad"], flags: OF | AF | CF, source: "SDM 2A AAM, AAD" },
  { names: ["daa", "das"], flags: OF, source: "SDM 2A DAA, DAS" },
  {
    names: ["rol", "ror", "rcl", "rcr", "shl", "shr", "sar"],
    flags: OF,
    when: (count) => count > 1,
    source: "SDM 2B RCL/RCR/ROL/ROR, SAL/SAR/SHL/SHR",
  },
  {
    names: ["shl", "shr", "sar"],
    flags: AF,
    when: (count) => count > 0,
    source: "SDM 2B SAL/SAR/SHL/SHR",
  },
  {
    names: ["shl", "shr"],
    flags: CF,
    when: (count, bits) => count >= bits,
    source: "SDM 2B SAL/SAR/SHL/SHR",
  },
  { names: ["shld", "shrd"], flags: AF, when: (count) => count > 0, source: "SDM 2B SHLD, SHRD" },
  { names: ["shld", "shrd"], flags: OF, when: (count) => count > 1, source: "SDM 2B SHLD, SHRD" },
  {
    names: ["shld", "shrd"],
    flags: CF | OF | SF | ZF | AF | PF,
    when: (count, bits) => count > bits,
    source: "SDM 2B SHLD, SHRD",
  },
];

/** Flags undefined after this instruction. `count`: its shift count, masked as the processor does. */
export const undefinedFlags = (name: string, bits: number, count: number): bigint =>
  ROWS.filter((row) => row.names.includes(name) && (row.when?.(count, bits) ?? true)).reduce(
    (all, row) => all | row.flags,
    0n,
  );

/**
 * The result itself is undefined: BSWAP of 16 bits, and 16-bit SHLD and SHRD by more than 16
 * (SDM 2A BSWAP; 2B SHLD, SHRD).
 */
export const undefinedResult = (name: string, bits: number, count: number): boolean =>
  bits === 16 && (name === "bswap" || ((name === "shld" || name === "shrd") && count > 16));
