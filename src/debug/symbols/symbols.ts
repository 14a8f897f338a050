import { AT } from "../dwarf/codes";
import type { FunctionEntry } from "../dwarf/debug-info";
import { type Image, loadImage } from "./image";
import type { LineEntry, SourceFile } from "./line-table";
import { joinSource, type ResolveSource } from "./source-path";
import type { ImageSymbol } from "./symbol-table";

/** A function as the debugger shows it. */
export interface FunctionHit {
  readonly image: Image;
  readonly fn: FunctionEntry;
  readonly name: string;
  /** With the image's base. */
  readonly low: bigint;
  readonly high: bigint;
}

/** One frame's place in the source: several share an address where calls were inlined. */
export interface SourceFrame {
  readonly name: string;
  readonly path?: string;
  readonly line: number;
  readonly column: number;
}

/** Everything known by name or by line, over all images; the first image that knows something answers. */
export class Symbols {
  readonly images: Image[] = [];

  /** `resolve` turns what the compiler recorded into a path of the person's machine. */
  constructor(private readonly resolve: ResolveSource = joinSource) {}

  /** Reads a file; its `problems` are for the person, and never keep the rest from working. */
  load(bytes: Uint8Array, name: string, base = 0n): Image {
    const image = loadImage(bytes, name, base, this.resolve);
    this.images.push(image);
    return image;
  }

  get sources(): readonly SourceFile[] {
    const byPath = new Map(this.images.flatMap((i) => i.lines.sources).map((s) => [s.path, s]));
    return [...byPath.values()];
  }

  addressesFor(path: string, line: number): readonly bigint[] {
    return this.images.flatMap((image) => image.lines.addressesFor(path, line));
  }

  /** The first line at or after `line` with code, or `undefined` when there is none to the end of the file. */
  nextLineWithCode(path: string, line: number): number | undefined {
    const lines = this.images.map((image) => image.lines.nextLineWithCode(path, line) ?? Infinity);
    const next = Math.min(...lines, Infinity);
    return Number.isFinite(next) ? next : undefined;
  }

  linesWithCode(path: string, first: number, last: number): readonly number[] {
    const lines = this.images.flatMap((image) => image.lines.linesWithCode(path, first, last));
    return [...new Set(lines)].sort((a, b) => a - b);
  }

  lineAt(address: bigint): LineEntry | undefined {
    return this.first((image) => image.lines.lineAt(address));
  }

  /** The addresses of the statement around `address`: `low` up to, not including, `high`. */
  stmtRange(address: bigint): { readonly low: bigint; readonly high: bigint } | undefined {
    const entry = this.lineAt(address);
    return entry && { low: entry.low, high: entry.high };
  }

  /** Where statements begin in the function around `address`, or in its file when none is known there. */
  statementsAround(address: bigint): readonly bigint[] {
    const path = this.lineAt(address)?.path;
    if (path === undefined) return [];
    const { low = 0n, high = 1n << 64n } = this.functionAt(address) ?? {};
    return this.linesWithCode(path, 1, Infinity)
      .flatMap((line) => this.addressesFor(path, line))
      .filter((at) => at >= low && at < high);
  }

  /** A place at or below `address` where an instruction certainly begins. */
  knownStart(address: bigint): bigint | undefined {
    return (
      this.first((image) => image.lines.rowStart(address)) ?? this.symbolAt(address)?.symbol.address
    );
  }

  functionAt(address: bigint): FunctionHit | undefined {
    return this.first((image) => {
      const fn = image.info.functionAt(address - image.base);
      return fn && hit(image, fn, address - image.base);
    });
  }

  functionNamed(name: string): FunctionHit | undefined {
    return this.first((image) => {
      const fn = image.info.functionNamed(name);
      return fn && hit(image, fn, fn.low);
    });
  }

  /** Where a breakpoint on this name stops: behind a function's entry code, or at the symbol. */
  breakAddress(name: string): bigint | undefined {
    const found = this.functionNamed(name);
    if (!found) return this.symbol(name)?.address;
    const assembly = found.image.lines.lineAt(found.low)?.path.match(/\.(s|asm)$/i);
    return assembly ? found.low : found.image.lines.afterPrologue(found.low, found.high);
  }

  /** Break addresses of the functions whose names match, ascending. */
  functionsMatching(pattern: RegExp): readonly bigint[] {
    const addresses = new Set<bigint>();
    for (const { symbols } of this.images)
      for (const { name, kind } of symbols.all) {
        const address =
          kind === "function" && pattern.test(name) ? this.breakAddress(name) : undefined;
        if (address !== undefined) addresses.add(address);
      }
    return [...addresses].sort((a, b) => (a < b ? -1 : 1));
  }

  symbol(name: string): ImageSymbol | undefined {
    return this.first((image) => image.symbols.named(name));
  }

  symbolAt(address: bigint): { readonly symbol: ImageSymbol; readonly offset: bigint } | undefined {
    const symbol = this.first((image) => image.symbols.at(address));
    return symbol && { symbol, offset: address - symbol.address };
  }

  /** `visit+0x12`, `visit` at its start, `undefined` when no symbol is near. */
  describe(address: bigint): string | undefined {
    const found = this.symbolAt(address);
    if (!found) return undefined;
    return found.offset === 0n
      ? found.symbol.name
      : `${found.symbol.name}+0x${found.offset.toString(16)}`;
  }

  /** Names of functions and objects, for completion and for "did you mean". */
  *names(): Iterable<string> {
    for (const image of this.images) {
      yield* image.symbols.names;
      yield* image.info.globals.keys();
    }
  }

  /**
   * The frames an address stands for, innermost first: inlined calls each have their own, the last
   * is the function that holds the code. Without debug information one frame with the symbol's name.
   */
  framesAt(address: bigint): readonly SourceFrame[] {
    const at = this.lineAt(address);
    const found = this.functionAt(address);
    const name = found?.name ?? this.describe(address) ?? `0x${address.toString(16)}`;
    let place = { ...(at ? { path: at.path } : {}), line: at?.line ?? 0, column: at?.column ?? 0 };
    if (!found) return [{ name, ...place }];
    const { info, lines } = found.image;
    const frames: SourceFrame[] = [];
    const inlined = info.inlinedAt(found.fn, address - found.image.base);
    for (const call of [...inlined].reverse()) {
      frames.push({ name: info.nameOf(call) ?? "inlined", ...place });
      const program = found.fn.unit.root?.offsetValue(AT.statementList);
      const path = lines.pathOf(program, call.number(AT.callFile) ?? 0);
      const line = call.number(AT.callLine) ?? 0;
      place = { ...(path ? { path } : {}), line, column: call.number(AT.callColumn) ?? 0 };
    }
    frames.push({ name, ...place });
    return frames;
  }

  private first<T>(ask: (image: Image) => T | undefined): T | undefined {
    for (const image of this.images) {
      const answer = ask(image);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }
}

function hit(image: Image, fn: FunctionEntry, address: bigint): FunctionHit {
  const range = fn.ranges.find(({ low, high }) => address >= low && address < high);
  const high = (range?.high ?? fn.low) + image.base;
  return { image, fn, name: fn.name, low: fn.low + image.base, high };
}
