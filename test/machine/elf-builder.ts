/** A segment of an ELF file under construction. */
export interface BuiltSegment {
  readonly physical: number;
  readonly virtual?: number;
  readonly bytes: Uint8Array;
  /** At least the bytes' length. */
  readonly memorySize?: number;
  readonly type?: number;
}

export interface BuiltSymbol {
  readonly name: string;
  readonly value: number;
  readonly size?: number;
  readonly type?: number;
}

interface Parts {
  readonly bits?: 32 | 64;
  readonly machine?: number;
  readonly type?: number;
  readonly entry: number;
  readonly segments: readonly BuiltSegment[];
  readonly symbols?: readonly BuiltSymbol[];
}

const PAGE = 4096;

/** An x86 executable: segments at page-aligned file offsets, then a symbol table when asked for. */
export function buildElf({
  bits = 64,
  machine,
  type = 2,
  entry,
  segments,
  symbols,
}: Parts): Uint8Array {
  const wide = bits === 64;
  const headerBytes = wide ? 64 : 52;
  const programBytes = wide ? 56 : 32;
  const sectionBytes = wide ? 64 : 40;
  const offsets: number[] = [];
  let end = PAGE;
  for (const { bytes } of segments) {
    offsets.push(end);
    end += Math.ceil(bytes.length / PAGE) * PAGE;
  }
  const sections = symbols ? symbolSections(symbols, wide, end) : [];
  const tableAt = sections.reduce(
    (at, { offset, bytes }) => Math.max(at, offset + bytes.length),
    end,
  );
  const file = new Uint8Array(tableAt + sections.length * sectionBytes);
  const view = new DataView(file.buffer);
  const word = (at: number, value: number): void =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, type, true);
  view.setUint16(18, machine ?? (wide ? 62 : 3), true);
  view.setUint32(20, 1, true);
  word(24, entry);
  word(wide ? 32 : 28, headerBytes);
  word(wide ? 40 : 32, sections.length > 0 ? tableAt : 0);
  const tail = wide ? 52 : 40;
  [
    headerBytes,
    programBytes,
    segments.length,
    sectionBytes,
    sections.length,
    sections.length - 1,
  ].forEach((value, i) => {
    view.setUint16(tail + 2 * i, Math.max(0, value), true);
  });
  segments.forEach(({ physical, virtual = physical, bytes, memorySize, type: kind = 1 }, i) => {
    const at = headerBytes + programBytes * i;
    const size = memorySize ?? bytes.length;
    view.setUint32(at, kind, true);
    const values = [offsets[i] ?? 0, virtual, physical, bytes.length, size];
    for (const [k, value] of values.entries()) word(wide ? at + 8 + 8 * k : at + 4 + 4 * k, value);
    file.set(bytes, offsets[i]);
  });
  sections.forEach(({ name, kind, offset, bytes, link, entrySize }, i) => {
    const at = tableAt + sectionBytes * i;
    view.setUint32(at, name, true);
    view.setUint32(at + 4, kind, true);
    word(at + (wide ? 24 : 16), offset);
    word(at + (wide ? 32 : 20), bytes.length);
    view.setUint32(at + (wide ? 40 : 24), link, true);
    word(at + (wide ? 56 : 36), entrySize);
    file.set(bytes, offset);
  });
  return file;
}

function symbolSections(symbols: readonly BuiltSymbol[], wide: boolean, at: number) {
  const names = strings(symbols.map(({ name }) => name));
  const size = wide ? 24 : 16;
  const table = new Uint8Array(size * (symbols.length + 1));
  const view = new DataView(table.buffer);
  symbols.forEach(({ value, size: length = 0, type = 2 }, i) => {
    const row = size * (i + 1);
    view.setUint32(row, names.offsets[i] ?? 0, true);
    if (wide) {
      view.setUint8(row + 4, 0x10 | type);
      view.setUint16(row + 6, 1, true);
      view.setBigUint64(row + 8, BigInt(value), true);
      view.setBigUint64(row + 16, BigInt(length), true);
    } else {
      view.setUint32(row + 4, value, true);
      view.setUint32(row + 8, length, true);
      view.setUint8(row + 12, 0x10 | type);
      view.setUint16(row + 14, 1, true);
    }
  });
  const sectionNames = strings([".symtab", ".strtab", ".shstrtab"]);
  let offset = at;
  const section = (name: number, kind: number, bytes: Uint8Array, link = 0, entrySize = 0) => {
    const placed = { name: sectionNames.offsets[name] ?? 0, kind, offset, bytes, link, entrySize };
    offset += bytes.length;
    return placed;
  };
  return [
    { name: 0, kind: 0, offset: 0, bytes: new Uint8Array(), link: 0, entrySize: 0 },
    section(0, 2, table, 2, size),
    section(1, 3, names.bytes),
    section(2, 3, sectionNames.bytes),
  ];
}

function strings(values: readonly string[]): { bytes: Uint8Array; offsets: number[] } {
  const bytes: number[] = [0];
  const offsets = values.map((value) => {
    const at = bytes.length;
    for (const c of value) bytes.push(c.charCodeAt(0));
    bytes.push(0);
    return at;
  });
  return { bytes: Uint8Array.from(bytes), offsets };
}

/** A multiboot 1 header: magic, flags, checksum. */
export function multibootHeader(flags = 0, fields: readonly number[] = []): Uint8Array {
  const magic = 0x1badb002;
  const words = [magic, flags, -(magic + flags), ...fields];
  const view = new DataView(new ArrayBuffer(4 * words.length));
  words.forEach((word, i) => {
    view.setInt32(4 * i, word | 0, true);
  });
  return new Uint8Array(view.buffer);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
