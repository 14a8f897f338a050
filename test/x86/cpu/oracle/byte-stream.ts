/** Appends numbers in little-endian and variable-length form. */
export class ByteWriter {
  private bytes = new Uint8Array(1 << 16);
  private length = 0;

  u8(value: number): void {
    if (this.length === this.bytes.length) {
      const grown = new Uint8Array(2 * this.length);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    this.bytes[this.length++] = value;
  }
  /** Seven bits a byte, low first. */
  varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.u8((rest % 128) | 0x80);
    this.u8(rest);
  }
  /** Low `bytes` bytes of `value`. */
  integer(value: bigint, bytes: number): void {
    for (let n = 0; n < bytes; n++) this.u8(Number((value >> BigInt(8 * n)) & 0xffn));
  }
  blob(bytes: Uint8Array): void {
    this.varint(bytes.length);
    for (const byte of bytes) this.u8(byte);
  }
  text(text: string): void {
    this.blob(new TextEncoder().encode(text));
  }
  result(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

/** Reads back what `ByteWriter` wrote. */
export class ByteReader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get atEnd(): boolean {
    return this.at >= this.bytes.length;
  }
  u8(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new Error("vectors: file is truncated");
    return byte;
  }
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }
  integer(bytes: number): bigint {
    let value = 0n;
    for (let n = 0; n < bytes; n++) value |= BigInt(this.u8()) << BigInt(8 * n);
    return value;
  }
  blob(): Uint8Array {
    return Uint8Array.from({ length: this.varint() }, () => this.u8());
  }
  text(): string {
    return new TextDecoder().decode(this.blob());
  }
}
