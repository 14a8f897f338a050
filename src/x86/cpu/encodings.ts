import { decode } from "./decode";
import type { Insn } from "./insn";
import { needsModrm, ROWS, type Row } from "./opcode-rows";

/** One way to write a row of the opcode table down. */
export interface Encoding {
  readonly row: Row;
  readonly bits: 32 | 64;
  readonly prefixes: readonly number[];
  /** modrm byte with register fields 0, and SIB when it asks for one; empty when the row has none. */
  readonly modrm: readonly number[];
}

const OPCODE_BYTES: Record<Row["map"], readonly number[]> = {
  "1": [],
  "0f": [0x0f],
  "0f38": [0x0f, 0x38],
};

const MODRM_FORMS: Record<32 | 64, readonly (readonly number[])[]> = {
  // Register; base; base and index.
  32: [[0xc0], [0x00], [0x04, 0x08]],
  64: [[0xc0], [0x00], [0x04, 0x08]],
};

function modrmForms(row: Row, bits: 32 | 64): readonly (readonly number[])[] {
  if (!needsModrm(row)) return [[]];
  if (row.modrm >= 0) return [[row.modrm]];
  const digit = Math.max(row.digit, 0) << 3;
  return MODRM_FORMS[bits].map(([first, ...rest]) => [first! | digit, ...rest]);
}

const SIZE_PREFIXES: Record<32 | 64, readonly (readonly number[])[]> = {
  32: [[], [0x66]],
  64: [[], [0x66], [0x48]],
};
const STRINGS = new Set(["movs", "stos", "lods", "scas", "cmps", "ins", "outs"]);

const MEMORY_KINDS = new Set(["E", "M", "O"]);
const IMPLICIT_ADDRESS = new Set([...STRINGS, "xlat", "loop", "loope", "loopne", "jcxz"]);
/** May the row have a memory operand, or does its meaning depend on the address size? */
const hasAddress = (row: Row): boolean =>
  IMPLICIT_ADDRESS.has(row.name) || row.operands.some(({ kind }) => MEMORY_KINDS.has(kind));

/** Address-size prefixes worth trying: only where the meaning depends on it. */
const ADDRESS_SENSITIVE = new Set([...IMPLICIT_ADDRESS, "lea"]);

/**
 * Every row in every form that leads to generated code of its own: operand sizes, register and memory
 * forms, address sizes where they matter, FS for the general memory form, repeat prefixes. 16-bit code
 * has no form that 32-bit code with prefixes lacks, and a register in the opcode is one form.
 */
export function* allEncodings(): Generator<Encoding> {
  for (const row of ROWS) {
    if (row.flags.has("z8") && row.opcode & 7) continue;
    for (const bits of [64, 32] as const) {
      if (row.flags.has(bits === 64 ? "i64" : "o64")) continue;
      const repeats = STRINGS.has(row.name) ? [[], [0xf3], [0xf2]] : [[]];
      const addresses = ADDRESS_SENSITIVE.has(row.name) ? [[], [0x67]] : [[]];
      for (const modrm of modrmForms(row, bits)) {
        const inMemory = hasAddress(row) && (modrm[0] ?? 0) < 0xc0;
        for (const size of SIZE_PREFIXES[bits])
          for (const address of addresses)
            for (const segment of inMemory ? [[], [0x64]] : [[]])
              for (const repeat of repeats)
                yield { row, bits, prefixes: prefixes(row, size, address, segment, repeat), modrm };
      }
    }
  }
}

/** Prefix bytes in a legal order: REX last. */
function prefixes(row: Row, size: readonly number[], ...others: (readonly number[])[]): number[] {
  const [rex, legacy] = size[0] === 0x48 ? [size, []] : [[], size];
  const mandatory = row.prefix ? [row.prefix] : [];
  return [...legacy, ...others.flat(), ...mandatory, ...rex];
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
