import { MAP_38, ONE_BYTE, type OpcodeRow, TWO_BYTE } from "./opcodes";

/** One operand of a row: letters of the manual split into kind and size. */
export interface OperandCode {
  readonly kind: string;
  readonly size: string;
}

/** A row of the opcode table, parsed. */
export interface Row {
  readonly map: "1" | "0f" | "0f38";
  readonly opcode: number;
  readonly name: string;
  readonly operands: readonly OperandCode[];
  readonly flags: ReadonlySet<string>;
  /** modrm.reg that selects this row, -1 for any. */
  readonly digit: number;
  /** The whole modrm byte that selects this row, -1 for any. */
  readonly modrm: number;
  readonly prefix: 0 | 0x66 | 0xf2 | 0xf3;
  readonly cc: number;
}

/** Operands named whole, not by a kind letter and a size letter. */
const FIXED = new Set("AL CL AX DX rAX eAX 1 ES CS SS DS FS GS".split(" "));
const MODRM_KINDS = "EGMRSCD";

const parseOperand = (code: string): OperandCode =>
  FIXED.has(code) ? { kind: code, size: "" } : { kind: code[0]!, size: code.slice(1) };

function parse(map: Row["map"], [opcode, name, operands = "", flags = ""]: OpcodeRow): Row[] {
  const words = new Set(flags.split(" ").filter((word) => word));
  if (words.has("sys")) words.add("term");
  const value = (start: string, radix: number): number => {
    const word = [...words].find((each) => each.startsWith(start));
    return word ? Number.parseInt(word.slice(start.length), radix) : -1;
  };
  const row: Row = {
    map,
    opcode,
    name,
    operands: operands
      .split(" ")
      .filter((each) => each)
      .map(parseOperand),
    flags: words,
    digit: value("/", 8),
    modrm: value("modrm=", 16),
    prefix: words.has("66") ? 0x66 : words.has("f2") ? 0xf2 : words.has("f3") ? 0xf3 : 0,
    cc: 0,
  };
  const repeat = words.has("cc") ? 16 : words.has("z8") ? 8 : 1;
  return Array.from({ length: repeat }, (_, n) => ({
    ...row,
    opcode: opcode + n,
    cc: words.has("cc") ? n : 0,
  }));
}

/** Every row of every map. */
export const ROWS: readonly Row[] = [
  ...ONE_BYTE.flatMap((row) => parse("1", row)),
  ...TWO_BYTE.flatMap((row) => parse("0f", row)),
  ...MAP_38.flatMap((row) => parse("0f38", row)),
];

/** What the decoder finds at one opcode of one map. */
export interface OpcodeSlot {
  readonly rows: readonly Row[];
  readonly hasModrm: boolean;
}

export const needsModrm = (row: Row): boolean =>
  row.digit >= 0 ||
  row.modrm >= 0 ||
  row.operands.some(({ kind }) => kind.length === 1 && MODRM_KINDS.includes(kind));

function slots(map: Row["map"]): readonly OpcodeSlot[] {
  return Array.from({ length: 256 }, (_, opcode) => {
    const rows = ROWS.filter((row) => row.map === map && row.opcode === opcode);
    // Rows that name a prefix or a whole modrm byte are more special than those that do not.
    const rank = (row: Row): number =>
      (row.prefix || row.flags.has("np") ? 2 : 0) +
      (row.modrm >= 0 ? 4 : row.digit >= 0 || row.flags.has("rexb0") ? 1 : 0);
    return {
      rows: [...rows].sort((a, b) => rank(b) - rank(a)),
      hasModrm: rows.some(needsModrm),
    };
  });
}

export const SLOTS: Record<Row["map"], readonly OpcodeSlot[]> = {
  "1": slots("1"),
  "0f": slots("0f"),
  "0f38": slots("0f38"),
};
