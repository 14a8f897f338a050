/**
 * Little-endian reading of untrusted bytes. A read past the end answers 0 and sets `failed` for good,
 * so that a parser checks once per record instead of at each field; nothing here throws.
 */
export class ByteReader {
  private readonly view: DataView;
  failed = false;

  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
    readonly end = bytes.length,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (at > end || end > bytes.length || at < 0) {
      this.failed = true;
      this.at = end;
    }
  }

  get more(): boolean {
    return !this.failed && this.at < this.end;
  }

  /** A reader of the next `length` bytes; this one moves past them. */
  slice(length: number): ByteReader {
    const start = this.take(length);
    return new ByteReader(this.bytes, start ?? this.end, start === undefined ? this.end : this.at);
  }

  block(length: number): Uint8Array {
    const start = this.take(length);
    return start === undefined ? new Uint8Array() : this.bytes.subarray(start, start + length);
  }

  u8(): number {
    const at = this.take(1);
    return at === undefined ? 0 : this.view.getUint8(at);
  }
  i8(): number {
    return (this.u8() << 24) >> 24;
  }
  u16(): number {
    const at = this.take(2);
    return at === undefined ? 0 : this.view.getUint16(at, true);
  }
  u24(): number {
    return this.u16() + this.u8() * 0x10000;
  }
  u32(): number {
    const at = this.take(4);
    return at === undefined ? 0 : this.view.getUint32(at, true);
  }
  u64(): bigint {
    const at = this.take(8);
    return at === undefined ? 0n : this.view.getBigUint64(at, true);
  }
  i64(): bigint {
    return BigInt.asIntN(64, this.u64());
  }

  /** An unsigned value of 1, 2, 4 or 8 bytes. */
  unsigned(size: number): bigint {
    if (size === 8) return this.u64();
    if (size === 4) return BigInt(this.u32());
    return BigInt(size === 2 ? this.u16() : this.u8());
  }

  /** A file offset or length of 4 or 8 bytes; one beyond 2^53 cannot be inside a file and fails. */
  offset(size: 4 | 8): number {
    if (size === 4) return this.u32();
    const value = Number(this.u64());
    if (Number.isSafeInteger(value)) return value;
    this.fail();
    return 0;
  }

  /** ULEB128, at most 64 bits (DWARF 5, 7.6). */
  uleb(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return BigInt.asUintN(64, value);
    }
    this.fail();
    return 0n;
  }

  /** SLEB128, at most 64 bits (DWARF 5, 7.6). */
  sleb(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return BigInt.asIntN(64, BigInt.asIntN(Number(shift) + 7, value));
    }
    this.fail();
    return 0n;
  }

  /** A ULEB128 that counts or numbers something; larger than 2^32 fails. */
  count(): number {
    const value = this.uleb();
    if (value <= 0xffffffffn) return Number(value);
    this.fail();
    return 0;
  }

  /** Bytes up to the next 0, each one character; UTF-8 sequences are decoded. */
  text(): string {
    const start = this.at;
    const stop = this.bytes.indexOf(0, start);
    if (this.failed || stop < 0 || stop >= this.end) {
      this.fail();
      return "";
    }
    this.at = stop + 1;
    return decodeText(this.bytes.subarray(start, stop));
  }

  fail(): void {
    this.failed = true;
    this.at = this.end;
  }

  private take(length: number): number | undefined {
    const start = this.at;
    if (this.failed || length < 0 || start + length > this.end) {
      this.fail();
      return undefined;
    }
    this.at = start + length;
    return start;
  }
}

/** UTF-8 to text; a byte that is not part of good UTF-8 is taken as Latin-1, so every input has an answer. */
export function decodeText(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at] ?? 0;
    const length = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
    let code = length === 1 ? lead : lead & (0x7f >> length);
    let good = true;
    for (let i = 1; i < length; i++) {
      const next = bytes[at + i] ?? 0;
      good &&= (next & 0xc0) === 0x80;
      code = (code << 6) | (next & 0x3f);
    }
    good &&= code <= 0x10ffff;
    text += String.fromCodePoint(good ? code : lead);
    at += good ? length : 1;
  }
  return text;
}

/** The text that starts at an offset of a string section, or `undefined` outside it. */
export function textAt(section: Uint8Array, offset: number): string | undefined {
  if (offset < 0 || offset >= section.length) return undefined;
  const reader = new ByteReader(section, offset);
  const text = reader.text();
  return reader.failed ? undefined : text;
}
