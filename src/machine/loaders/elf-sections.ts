import { hex, type Refusal, refuse } from "../refusal";
import { ELF_SECTION_HEADER_BYTES, type ElfFile } from "./elf";

export const SECTION_TYPE = { symbols: 2, strings: 3, noBits: 8, dynamicSymbols: 11 } as const;
/** sh_flags: the data begins with a compression header (gABI, "Section Compression"). */
export const SECTION_COMPRESSED = 0x800n;
/** Low nibble of st_info. */
export const SYMBOL_TYPE = { none: 0, object: 1, function: 2, section: 3, file: 4 } as const;

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: bigint;
  readonly address: bigint;
  readonly size: bigint;
  readonly link: number;
  /** Bytes of one entry of a table section. */
  readonly entrySize: number;
  /** Empty for sections without file content (.bss). */
  readonly bytes: Uint8Array;
}

export interface ElfSymbol {
  readonly name: string;
  readonly value: bigint;
  readonly size: bigint;
  readonly type: number;
  /** 0 local, 1 global, 2 weak. */
  readonly binding: number;
  /** 0 = undefined, 0xfff1 = absolute. */
  readonly section: number;
}

/** All sections in table order; the null section included, so that links are indices. */
export function readElfSections(elf: ElfFile): readonly ElfSection[] | Refusal {
  const { bytes, name, bits, sectionTable } = elf;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entry = ELF_SECTION_HEADER_BYTES[bits];
  const raw: (Omit<ElfSection, "name"> & { readonly nameAt: number })[] = [];
  for (let i = 0; i < sectionTable.count; i++) {
    const at = sectionTable.offset + BigInt(i * entry);
    if (at + BigInt(entry) > BigInt(bytes.length))
      return refuse(
        `${name}: truncated: section header ${i} at ${hex(at)} lies past the end of the file (${hex(bytes.length)}); copy or build it again`,
      );
    const header = readHeader(view, Number(at), bits);
    const end = header.offset + header.size;
    const empty = header.type === SECTION_TYPE.noBits || header.type === 0;
    if (!empty && end > BigInt(bytes.length))
      return refuse(
        `${name}: truncated: section ${i} ends at file offset ${hex(end)} and the file at ${hex(bytes.length)}; copy or build it again`,
      );
    raw.push({
      ...header,
      bytes: empty ? new Uint8Array() : bytes.subarray(Number(header.offset), Number(end)),
    });
  }
  const names = raw[sectionTable.names]?.bytes ?? new Uint8Array();
  return raw.map(({ nameAt, ...section }) => ({ ...section, name: textAt(names, nameAt) }));
}

function readHeader(view: DataView, at: number, bits: 32 | 64) {
  const u32 = (offset: number): number => view.getUint32(at + offset, true);
  const word = (index: number): bigint =>
    bits === 64 ? view.getBigUint64(at + 8 + 8 * index, true) : BigInt(u32(8 + 4 * index));
  return {
    nameAt: u32(0),
    type: u32(4),
    flags: word(0),
    address: word(1),
    offset: word(2),
    size: word(3),
    link: u32(bits === 64 ? 40 : 24),
    entrySize: Number(bits === 64 ? view.getBigUint64(at + 56, true) : u32(36)),
  };
}

/** The symbols of .symtab, or of .dynsym when there is no other table. */
export function readElfSymbols(elf: ElfFile): readonly ElfSymbol[] | Refusal {
  const sections = readElfSections(elf);
  if ("kind" in sections) return sections;
  const table =
    sections.find(({ type }) => type === SECTION_TYPE.symbols) ??
    sections.find(({ type }) => type === SECTION_TYPE.dynamicSymbols);
  if (!table) return [];
  const names = sections[table.link]?.bytes ?? new Uint8Array();
  const { bytes } = table;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = elf.bits === 64 ? 24 : 16;
  const symbols: ElfSymbol[] = [];
  for (let at = 0; at + size <= bytes.length; at += size)
    symbols.push(elf.bits === 64 ? symbol64(view, at, names) : symbol32(view, at, names));
  return symbols;
}

function symbol64(view: DataView, at: number, names: Uint8Array): ElfSymbol {
  const info = view.getUint8(at + 4);
  return {
    name: textAt(names, view.getUint32(at, true)),
    value: view.getBigUint64(at + 8, true),
    size: view.getBigUint64(at + 16, true),
    type: info & 15,
    binding: info >> 4,
    section: view.getUint16(at + 6, true),
  };
}

function symbol32(view: DataView, at: number, names: Uint8Array): ElfSymbol {
  const info = view.getUint8(at + 12);
  return {
    name: textAt(names, view.getUint32(at, true)),
    value: BigInt(view.getUint32(at + 4, true)),
    size: BigInt(view.getUint32(at + 8, true)),
    type: info & 15,
    binding: info >> 4,
    section: view.getUint16(at + 14, true),
  };
}

/** The zero-terminated name at an offset; an unterminated one ends with the table, one outside is "". */
function textAt(strings: Uint8Array, at: number): string {
  const stop = strings.indexOf(0, at);
  const name = strings.subarray(at, stop < 0 ? strings.length : stop);
  let text = "";
  for (const byte of name) text += String.fromCharCode(byte);
  return text;
}
