import { ByteReader, textAt } from "../byte-reader";
import type { ElfSections } from "./elf-sections";

/** A name for an address, from an ELF symbol table. */
export interface ElfSymbol {
  readonly name: string;
  readonly address: bigint;
  /** Bytes; 0 when the assembler did not say: the symbol then reaches to the next one. */
  readonly size: bigint;
  readonly kind: "function" | "object" | "label";
  readonly global: boolean;
}

const SYMBOL_TABLE = 2;
const KINDS: Readonly<Record<number, ElfSymbol["kind"]>> = {
  0: "label",
  1: "object",
  2: "function",
};
/** `SHN_UNDEF`, `SHN_ABS`. */
const UNDEFINED = 0;
const ABSOLUTE = 0xfff1;

/** Symbols of one image by name and by address. Absolute ones (sizes, flags) have names only. */
export class SymbolTable {
  private readonly byName = new Map<string, ElfSymbol>();
  /** In address order; of several at one address the best name comes last. */
  private readonly placed: ElfSymbol[] = [];

  constructor(file: ElfSections, base: bigint) {
    for (const table of file.sections) {
      if (table.type !== SYMBOL_TABLE) continue;
      const names = file.sections[table.link]?.bytes ?? new Uint8Array();
      const reader = new ByteReader(table.bytes);
      while (reader.more) {
        const read = file.class === 64 ? readSymbol64(reader) : readSymbol32(reader);
        const kind = KINDS[read.info & 15];
        const name = textAt(names, read.name);
        if (reader.failed || !kind || !name || read.section === UNDEFINED) continue;
        const address = read.section === ABSOLUTE ? read.value : read.value + base;
        const global = read.info >> 4 !== 0;
        this.add({ name, address, size: read.size, kind, global }, read.section === ABSOLUTE);
      }
    }
    this.placed.sort(inOrder);
  }

  named(name: string): ElfSymbol | undefined {
    return this.byName.get(name);
  }

  get names(): Iterable<string> {
    return this.byName.keys();
  }

  get all(): Iterable<ElfSymbol> {
    return this.byName.values();
  }

  /** The symbol an address is in, if its size or the next symbol does not exclude it. */
  at(address: bigint): ElfSymbol | undefined {
    let low = 0;
    let high = this.placed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.placed[middle]?.address ?? 0n) <= address) low = middle + 1;
      else high = middle;
    }
    const next = this.placed[low];
    for (let i = low - 1; i >= 0 && i >= low - 8; i--) {
      const symbol = this.placed[i];
      if (!symbol) break;
      const reach = symbol.size || (next ? next.address - symbol.address : 0x1000n);
      if (address - symbol.address < reach) return symbol;
    }
    return undefined;
  }

  private add(symbol: ElfSymbol, absolute: boolean): void {
    const known = this.byName.get(symbol.name);
    if (!known || (symbol.global && !known.global)) this.byName.set(symbol.name, symbol);
    if (!absolute) this.placed.push(symbol);
  }
}

const RANK: Readonly<Record<ElfSymbol["kind"], number>> = { label: 0, object: 1, function: 2 };

function inOrder(a: ElfSymbol, b: ElfSymbol): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return RANK[a.kind] - RANK[b.kind] || Number(a.global) - Number(b.global);
}

function readSymbol64(r: ByteReader) {
  const name = r.u32();
  const info = r.u8();
  r.u8();
  const section = r.u16();
  return { name, info, section, value: r.u64(), size: r.u64() };
}

function readSymbol32(r: ByteReader) {
  const name = r.u32();
  const value = BigInt(r.u32());
  const size = BigInt(r.u32());
  const info = r.u8();
  r.u8();
  return { name, info, section: r.u16(), value, size };
}
