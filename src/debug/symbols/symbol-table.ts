import { type ElfSymbol, SYMBOL_TYPE } from "../../machine";

/** A name for an address, from an ELF symbol table. */
export interface ImageSymbol {
  readonly name: string;
  readonly address: bigint;
  /** Bytes; 0 when the assembler did not say: the symbol then reaches to the next one. */
  readonly size: bigint;
  readonly kind: "function" | "object" | "label";
  readonly global: boolean;
}

const KINDS: Readonly<Record<number, ImageSymbol["kind"]>> = {
  [SYMBOL_TYPE.none]: "label",
  [SYMBOL_TYPE.object]: "object",
  [SYMBOL_TYPE.function]: "function",
};
/** `SHN_UNDEF`, `SHN_ABS`. */
const UNDEFINED = 0;
const ABSOLUTE = 0xfff1;

/** Symbols of one image by name and by address. Absolute ones (sizes, flags) have names only. */
export class SymbolTable {
  private readonly byName = new Map<string, ImageSymbol>();
  /** In address order; of several at one address the best name comes last. */
  private readonly placed: ImageSymbol[] = [];

  constructor(symbols: readonly ElfSymbol[], base: bigint) {
    for (const { name, value, size, type, binding, section } of symbols) {
      const kind = KINDS[type];
      if (!kind || name === "" || section === UNDEFINED) continue;
      const absolute = section === ABSOLUTE;
      const address = absolute ? value : value + base;
      this.add({ name, address, size, kind, global: binding !== 0 }, absolute);
    }
    this.placed.sort(inOrder);
  }

  named(name: string): ImageSymbol | undefined {
    return this.byName.get(name);
  }

  get names(): Iterable<string> {
    return this.byName.keys();
  }

  get all(): Iterable<ImageSymbol> {
    return this.byName.values();
  }

  /** The symbol an address is in, if its size or the next symbol does not exclude it. */
  at(address: bigint): ImageSymbol | undefined {
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

  private add(symbol: ImageSymbol, absolute: boolean): void {
    const known = this.byName.get(symbol.name);
    if (!known || (symbol.global && !known.global)) this.byName.set(symbol.name, symbol);
    if (!absolute) this.placed.push(symbol);
  }
}

const RANK: Readonly<Record<ImageSymbol["kind"], number>> = { label: 0, object: 1, function: 2 };

function inOrder(a: ImageSymbol, b: ImageSymbol): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return RANK[a.kind] - RANK[b.kind] || Number(a.global) - Number(b.global);
}
