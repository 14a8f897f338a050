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
/** Bytes over which decoding from anywhere falls in step with the code (x86 resynchronises quickly). */
const REACH = 128n;
/** A known start further away than this is too much to decode for one row. */
const KNOWN_REACH = 4096n;

type Code = Decoded & { readonly bytes: Uint8Array };

/** Listings of guest code around any address, forward and backward, as the code is when it is made. */
export class Disassembler {
  /** What has been decoded for this listing: places are tried again and again. */
  private readonly decoded = new Map<bigint, Code>();

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

  /** The `count` rows before `address`, by decoding from places where an instruction surely begins. */
  private before(address: bigint, count: number): Row[] {
    let rows: Row[] = [];
    while (rows.length < count) {
      const part = this.endingAt(rows[0]?.address ?? address);
      if (part.length === 0) break;
      rows = [...part, ...rows];
    }
    rows = rows.slice(-count);
    for (let filler = rows[0]?.address ?? address; rows.length < count; ) {
      filler -= 1n;
      rows.unshift({ address: filler, bytes: new Uint8Array(), text: "(unknown)", valid: false });
    }
    return rows;
  }

  /**
   * Rows that end exactly at `end`: from the nearest known start, else from the first of the bytes
   * before it that leads here. The reach does not depend on what was asked, so listings agree.
   */
  private endingAt(end: bigint): readonly Row[] {
    const known = this.symbols.knownStart(end - 1n);
    const certain = known !== undefined && end - known <= KNOWN_REACH ? this.upTo(known, end) : [];
    if (certain.length > 0) return certain;
    for (let start = end > REACH ? end - REACH : 0n; start < end; start += 1n) {
      const rows = this.upTo(start, end);
      if (rows.length > 0) return rows;
    }
    return [];
  }

  /** Rows from `start` if they end exactly at `end`; none when an instruction straddles it or is none. */
  private upTo(start: bigint, end: bigint): readonly Row[] {
    const rows: Row[] = [];
    let at = start;
    while (at < end) {
      const decoded = this.decode(at);
      if (!decoded.valid) return [];
      rows.push(this.row(at, decoded));
      at += BigInt(decoded.length);
    }
    return at === end ? rows : [];
  }

  private decode(address: bigint): Code {
    const kept = this.decoded.get(address) ?? this.decodeAfresh(address);
    this.decoded.set(address, kept);
    return kept;
  }

  private decodeAfresh(address: bigint): Code {
    const bytes = address < 0n ? new Uint8Array() : this.read(address, LONGEST);
    if (bytes.length === 0) {
      const nothing = { length: 1, valid: false, target: undefined, calls: false, returns: false };
      return { ...nothing, text: "(not mapped)", bytes };
    }
    const decoded = decodeOne(this.bits, bytes, address);
    return { ...decoded, bytes: bytes.slice(0, decoded.length) };
  }

  private row(address: bigint, decoded: Code): Row {
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
