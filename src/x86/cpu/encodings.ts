import { decode } from "./decode";
import type { Insn } from "./insn";
import { needsModrm, ROWS, type Row } from "./opcode-rows";

/** One way to write a row of the opcode table down. */
export interface Encoding {
  readonly row: Row;
  readonly bits: 16 | 32 | 64;
  readonly prefixes: readonly number[];
  /** modrm byte with register fields 0, and SIB when it asks for one; empty when the row has none. */
  readonly modrm: readonly number[];
}

const OPCODE_BYTES: Record<Row["map"], readonly number[]> = {
  "1": [],
  "0f": [0x0f],
  "0f38": [0x0f, 0x38],
};

const MODRM_FORMS: Record<16 | 32 | 64, readonly (readonly number[])[]> = {
  // Register; base; base and index (16-bit addressing always has both).
  16: [[0xc0], [0x00]],
  32: [[0xc0], [0x00], [0x04, 0x08]],
  64: [[0xc0], [0x00], [0x04, 0x08]],
};

function modrmForms(row: Row, bits: 16 | 32 | 64): readonly (readonly number[])[] {
  if (!needsModrm(row)) return [[]];
  if (row.modrm >= 0) return [[row.modrm]];
  const digit = Math.max(row.digit, 0) << 3;
  return MODRM_FORMS[bits].map(([first, ...rest]) => [first! | digit, ...rest]);
}

const SIZE_PREFIXES: Record<16 | 32 | 64, readonly (readonly number[])[]> = {
  16: [[], [0x66]],
  32: [[], [0x66]],
  64: [[], [0x66], [0x48]],
};
const STRINGS = new Set(["movs", "stos", "lods", "scas", "cmps", "ins", "outs"]);

/** Every row in every code size, operand size, address size, repeat prefix and with and without FS. */
export function* allEncodings(): Generator<Encoding> {
  for (const row of ROWS) {
    for (const bits of [64, 32, 16] as const) {
      if (row.flags.has(bits === 64 ? "i64" : "o64")) continue;
      const mandatory = row.prefix ? [row.prefix] : [];
      const repeats = STRINGS.has(row.name) ? [[], [0xf3], [0xf2]] : [[]];
      for (const size of SIZE_PREFIXES[bits])
        for (const address of [[], [0x67]])
          for (const segment of [[], [0x64]])
            for (const repeat of repeats)
              for (const modrm of modrmForms(row, bits)) {
                const rex = size[0] === 0x48 ? size : [];
                const legacy = size[0] === 0x48 ? [] : size;
                const prefixes = [
                  ...legacy,
                  ...address,
                  ...segment,
                  ...repeat,
                  ...mandatory,
                  ...rex,
                ];
                yield { row, bits, prefixes, modrm };
              }
    }
  }
}

/** Bytes of an encoding, with zeros for displacement and immediate. */
export function bytesOf({ row, prefixes, modrm }: Encoding): number[] {
  return [...prefixes, ...OPCODE_BYTES[row.map], row.opcode, ...modrm];
}

/** Decodes an encoding; bytes after the given ones read as 0. */
export function decodeEncoding(encoding: Encoding): Insn {
  const bytes = bytesOf(encoding);
  const insn = decode({ byte: (n) => bytes[n] ?? 0 }, 0x1000n, encoding.bits);
  if (!insn) throw new Error("an encoding without end");
  return insn;
}
