import { ByteReader, textAt } from "../byte-reader";

/** A section of an ELF file as a debugger needs it. */
export interface ElfSection {
  readonly name: string;
  /** `sh_type`: 2 is a symbol table, 8 has no bytes in the file. */
  readonly type: number;
  readonly address: bigint;
  /** Index of the section with the names, for a symbol table. */
  readonly link: number;
  /** Empty for a section without bytes in the file, or outside it. */
  readonly bytes: Uint8Array;
}

export interface ElfSections {
  readonly class: 32 | 64;
  /** Entry addresses of both classes are in the file's own numbering, without a base. */
  readonly sections: readonly ElfSection[];
}

const NO_BITS = 8;
const COMPRESSED = 0x800;

/** The section table of an ELF file for x86, or one sentence for why there is none to read. */
export function readElfSections(bytes: Uint8Array, name: string): ElfSections | string {
  const head = new ByteReader(bytes);
  if (head.u32() !== 0x464c457f) return `${name} is no ELF file: it has no symbols.`;
  const wide = head.u8() === 2;
  if (head.u8() !== 1) return `${name} is big-endian: no x86 guest.`;
  head.at = wide ? 0x28 : 0x20;
  const tableAt = head.offset(wide ? 8 : 4);
  head.at = wide ? 0x3a : 0x2e;
  const entrySize = head.u16();
  const count = head.u16();
  const namesIndex = head.u16();
  if (head.failed) return `${name} is cut short: its header is not complete.`;
  const rows = [];
  for (let i = 0; i < count; i++) {
    const row = readRow(new ByteReader(bytes, tableAt + i * entrySize), wide);
    if (!row) return `${name} is cut short: section ${i} of ${count} is behind its end.`;
    rows.push(row);
  }
  const names = rows[namesIndex];
  const text = names ? bytes.subarray(names.offset, names.offset + names.size) : new Uint8Array();
  return {
    class: wide ? 64 : 32,
    sections: rows.map((row) => ({
      name: textAt(text, row.name) ?? "",
      type: row.type,
      address: row.address,
      link: row.link,
      bytes:
        row.type === NO_BITS || row.flags & COMPRESSED || row.offset + row.size > bytes.length
          ? new Uint8Array()
          : bytes.subarray(row.offset, row.offset + row.size),
    })),
  };
}

function readRow(r: ByteReader, wide: boolean) {
  const size = wide ? 8 : 4;
  const name = r.u32();
  const type = r.u32();
  const flags = Number(r.unsigned(size) & 0xffffn);
  const address = r.unsigned(size);
  const offset = r.offset(size);
  const length = r.offset(size);
  const link = r.u32();
  return r.failed ? undefined : { name, type, flags, address, offset, size: length, link };
}
