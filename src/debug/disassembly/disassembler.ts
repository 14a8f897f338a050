import type { Symbols } from "../symbols/symbols";
import { type Decoded, decodeOne } from "./iced";

/** One row of a listing. */
export interface Row {
  /** Negative for filler below address 0. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly valid: boolean;
  /** Name of the function that begins here. */
  readonly symbol?: string;
}

/** Reads code without side effects: at most `length` bytes, fewer at a hole. */
export type ReadCode = (address: bigint, length: number) => Uint8Array;

const LONGEST = 15; // SDM 2A 2.3.11
/** How far before a known start a backward listing may begin, per wanted instruction. */
const AVERAGE = 8n;

/** Listings of guest code around any address, forward and backward. */
export class Disassembler {
  constructor(
    private readonly symbols: Symbols,
    private readonly read: ReadCode,
    private readonly bits: 16 | 32 | 64,
  ) {}

  at(address: bigint): Row {
    return this.row(address, this.decode(address));
  }

  /**
   * Exactly `count` rows, beginning `offset` instructions from `address` (negative: before it).
   * What cannot be decoded is shown a byte at a time, so addresses never repeat.
   */
  window(address: bigint, offset: number, count: number): Row[] {
    const before = offset < 0 ? this.before(address, -offset) : [];
    const rows = before.slice(0, count);
    let next = address;
    for (let skip = offset; skip > 0; skip--) next += BigInt(this.decode(next).length);
    // A window that ends before the address needs nothing from it on.
    while (rows.length < count) {
      const decoded = this.decode(next);
      rows.push(this.row(next, decoded));
      next += BigInt(decoded.length);
    }
    return rows;
  }

  /** The `count` rows before `address`, by decoding from a place where an instruction surely begins. */
  private before(address: bigint, count: number): Row[] {
    const reach = BigInt(count) * AVERAGE + BigInt(LONGEST);
    const from = address > reach ? address - reach : 0n;
    let found: Row[] = [];
    for (const start of this.starts(from, address)) {
      const rows = this.upTo(start, address);
      if (rows && rows.length > found.length) found = rows;
      if (found.length >= count) break;
    }
    const rows = found.slice(-count);
    for (let filler = rows[0]?.address ?? address; rows.length < count; ) {
      filler -= 1n;
      rows.unshift({ address: filler, bytes: new Uint8Array(), text: "(unknown)", valid: false });
    }
    return rows;
  }

  /** Places to decode from: what the symbols know first, then each of the bytes before that. */
  private *starts(from: bigint, address: bigint): Iterable<bigint> {
    const known = this.symbols.knownStart(from);
    if (known !== undefined && from - known < 4096n) yield known;
    for (let start = from; start < address; start += 1n) yield start;
  }

  /** Rows from `start` if they end exactly at `end`; `undefined` when an instruction straddles it. */
  private upTo(start: bigint, end: bigint): Row[] | undefined {
    const rows: Row[] = [];
    let at = start;
    while (at < end) {
      const decoded = this.decode(at);
      if (!decoded.valid) return undefined;
      rows.push(this.row(at, decoded));
      at += BigInt(decoded.length);
    }
    return at === end ? rows : undefined;
  }

  private decode(address: bigint): Decoded & { readonly bytes: Uint8Array } {
    const bytes = address < 0n ? new Uint8Array() : this.read(address, LONGEST);
    if (bytes.length === 0) {
      const nothing = { length: 1, valid: false, target: undefined, calls: false, returns: false };
      return { ...nothing, text: "(not mapped)", bytes };
    }
    const decoded = decodeOne(this.bits, bytes, address);
    return { ...decoded, bytes: bytes.slice(0, decoded.length) };
  }

  private row(address: bigint, decoded: Decoded & { readonly bytes: Uint8Array }): Row {
    const target = decoded.target === undefined ? undefined : this.symbols.describe(decoded.target);
    const here = this.symbols.symbolAt(address);
    return {
      address,
      bytes: decoded.bytes,
      text: target ? `${decoded.text}  ; ${target}` : decoded.text,
      valid: decoded.valid,
      ...(here?.offset === 0n ? { symbol: here.symbol.name } : {}),
    };
  }
}
