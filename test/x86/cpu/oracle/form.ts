import { needsModrm, ROWS, type Row } from "../../../../src/x86/cpu/opcode-rows";
import type { Mode } from "./case";

/** Operand size: default, with prefix 66, with REX.W. */
export type Width = "" | "66" | "W";

/** One way of encoding a row: what the cases of a group have in common. */
export interface Form {
  /** Mode, mnemonic, opcode and what else tells this form from others. */
  readonly key: string;
  readonly mode: Mode;
  readonly row: Row;
  /** The modrm byte names a register or memory, or there is none. */
  readonly place: "reg" | "mem" | "";
  readonly width: Width;
  readonly operandSize: 1 | 2 | 4 | 8;
  readonly rep: 0 | 0xf2 | 0xf3;
}

const STRING = new Set(["movs", "stos", "lods", "scas", "cmps"]);
/** Sized by the operand size though no operand letter says so. */
const SIZED = new Set(
  "cbw cwd movs stos lods scas cmps pusha popa pushf popf pushseg leave enter call ret".split(" "),
);
const sizedLetters = /[vzyp]$|^(rAX|Mq)$/;

function operandSize(row: Row, mode: Mode, width: Width): Form["operandSize"] {
  const { flags } = row;
  if (flags.has("b")) return 1;
  if (mode === 64 && (width === "W" || flags.has("f64"))) return 8;
  if (width === "66") return 2;
  return mode === 64 && flags.has("d64") ? 8 : 4;
}

function widths(row: Row, mode: Mode): readonly Width[] {
  const letters = row.operands.map(({ kind, size }) => kind + size);
  const sized = SIZED.has(row.name) || letters.some((letter) => sizedLetters.test(letter));
  if (!sized || row.flags.has("b")) return [""];
  // Near branches ignore 66 in 64-bit mode on some processors and truncate rip on others (SDM 2A JMP).
  const has66 = !row.flags.has("np") && !(mode === 64 && row.flags.has("f64"));
  const hasW = mode === 64 && !row.flags.has("f64") && !row.flags.has("d64");
  return ["", ...(has66 ? (["66"] as const) : []), ...(hasW ? (["W"] as const) : [])];
}

/** Prefetches of a register: #UD on AMD, NOP on Intel. */
const differs = (row: Row, place: string): boolean =>
  row.map === "0f" && row.opcode === 0x0d && place === "reg";

const isTested = (row: Row, mode: Mode): boolean =>
  !row.flags.has("sys") && !row.flags.has("todo") && !row.flags.has(mode === 64 ? "i64" : "o64");

const describe = (row: Row): string =>
  [
    row.name,
    row.map === "1" ? "" : row.map,
    row.opcode.toString(16).padStart(2, "0"),
    row.prefix ? row.prefix.toString(16) : "",
    row.digit >= 0 ? `/${row.digit}` : "",
    row.flags.has("66") ? "p66" : "",
    row.operands.map(({ kind, size }) => kind + size).join(","),
  ]
    .filter((word) => word)
    .join(" ");

/** Every form of every unprivileged integer row: what is tested is what the opcode table has. */
export function formsOf(mode: Mode): readonly Form[] {
  return ROWS.filter((row) => isTested(row, mode)).flatMap((row) => {
    const places = !needsModrm(row)
      ? ([""] as const)
      : (["reg", "mem"] as const).filter(
          (place) => !row.flags.has(place === "reg" ? "mem" : "reg") && !differs(row, place),
        );
    const reps = STRING.has(row.name) ? ([0, 0xf2, 0xf3] as const) : ([0] as const);
    return places.flatMap((place) =>
      widths(row, mode).flatMap((width) =>
        reps.map((rep): Form => {
          const size = operandSize(row, mode, width);
          const words = [mode, describe(row), place, width, rep ? rep.toString(16) : ""];
          const key = words.filter((word) => word !== "").join(" ");
          return { key, mode, row, place, width, operandSize: size, rep };
        }),
      ),
    );
  });
}
