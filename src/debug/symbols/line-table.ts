import type { FileEntry } from "../dwarf/line-header";
import { type LineSequence, ROW } from "../dwarf/line-program";
import type { LineProgram } from "../dwarf/line-section";
import { isAbsolute, joinSource, normal, type ResolveSource } from "./source-path";

/** Where an address comes from. */
export interface LineEntry {
  readonly path: string;
  readonly line: number;
  /** 0 when not recorded. */
  readonly column: number;
  /** The rows of this line around the address: `low` ≤ address < `high`. */
  readonly low: bigint;
  readonly high: bigint;
  /** True when the address begins a row that the compiler calls a statement. */
  readonly statement: boolean;
}

export interface SourceFile {
  readonly path: string;
  readonly compilationDirectory: string;
  /** As recorded, relative to the compilation directory or absolute. */
  readonly name: string;
}

interface Placed {
  readonly sequence: LineSequence;
  readonly paths: readonly string[];
  readonly low: bigint;
  readonly high: bigint;
}

/** Addresses ↔ source lines of one image. All addresses include the image's base. */
export class LineTable {
  private readonly sequences: Placed[] = [];
  private readonly byPath = new Map<string, SourceFile>();
  /** Offset of a program in `.debug_line` → its paths by file number. */
  private readonly pathsByProgram = new Map<number, readonly string[]>();
  /** path → line → first addresses of its statements, in address order. */
  private readonly statements = new Map<string, Map<number, bigint[]>>();

  constructor(
    programs: readonly LineProgram[],
    private readonly base: bigint,
    resolve: ResolveSource = joinSource,
  ) {
    for (const program of programs) {
      const paths = program.files.map((file) => this.register(program, file, resolve));
      this.pathsByProgram.set(program.offset, paths);
      for (const sequence of program.sequences) {
        const low = sequence.addresses[0] ?? 0n;
        const high = sequence.addresses.at(-1) ?? 0n;
        // A linker that drops a function leaves its lines at 0, or at -1 and -2 (DWARF 5, 7.x "tombstones").
        if (low === 0n || high < low || low >= 0xffff_ffff_ffff_fff0n) continue;
        this.sequences.push({ sequence, paths, low: low + base, high: high + base });
        this.index(sequence, paths);
      }
    }
    this.sequences.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
  }

  get sources(): readonly SourceFile[] {
    return [...this.byPath.values()].filter(({ path }) => this.statements.has(path));
  }

  /** Addresses where statements of this line begin; empty when the line has no code. */
  addressesFor(path: string, line: number): readonly bigint[] {
    return this.statements.get(normal(path))?.get(line) ?? [];
  }

  /** The path of a file number, as `DW_AT_call_file` gives it, in the unit with this line program. */
  pathOf(program: number | undefined, file: number): string | undefined {
    return program === undefined ? undefined : this.pathsByProgram.get(program)?.[file];
  }

  /** The first line at or after `line` with code. */
  nextLineWithCode(path: string, line: number): number | undefined {
    let next: number | undefined;
    for (const candidate of this.statements.get(normal(path))?.keys() ?? [])
      if (candidate >= line && (next === undefined || candidate < next)) next = candidate;
    return next;
  }

  /** Lines with code from `first` to `last`, ascending. */
  linesWithCode(path: string, first: number, last: number): readonly number[] {
    return [...(this.statements.get(normal(path))?.keys() ?? [])]
      .filter((line) => line >= first && line <= last)
      .sort((a, b) => a - b);
  }

  lineAt(address: bigint): LineEntry | undefined {
    const placed = this.sequenceAt(address);
    if (!placed) return undefined;
    const { addresses, lines, files, columns, flags } = placed.sequence;
    const at = lastAtOrBelow(addresses, address - this.base);
    const line = lines[at] ?? 0;
    const file = files[at] ?? 0;
    if (line === 0) return undefined; // "no source line": compiler-made code
    let first = at;
    let behind = at + 1;
    while (first > 0 && lines[first - 1] === line && files[first - 1] === file) first--;
    while (behind < addresses.length - 1 && lines[behind] === line && files[behind] === file)
      behind++;
    return {
      path: placed.paths[file] ?? "",
      line,
      column: columns[at] ?? 0,
      low: (addresses[first] ?? 0n) + this.base,
      high: (addresses[behind] ?? 0n) + this.base,
      statement: addresses[at] === address - this.base && ((flags[at] ?? 0) & ROW.statement) !== 0,
    };
  }

  /** Start of the row an address is in: a place where decoding may begin. */
  rowStart(address: bigint): bigint | undefined {
    const placed = this.sequenceAt(address);
    if (!placed) return undefined;
    const { addresses } = placed.sequence;
    return (addresses[lastAtOrBelow(addresses, address - this.base)] ?? 0n) + this.base;
  }

  /**
   * The address behind a function's entry code: the row marked so, else the second line change
   * after `low`, which is where compilers without marks begin the body.
   */
  afterPrologue(low: bigint, high: bigint): bigint {
    const placed = this.sequenceAt(low);
    if (!placed) return low;
    const { addresses, flags } = placed.sequence;
    const first = lastAtOrBelow(addresses, low - this.base);
    const end = high - this.base;
    let second: bigint | undefined;
    for (let i = first + 1; i < addresses.length - 1 && (addresses[i] ?? end) < end; i++) {
      const flag = flags[i] ?? 0;
      if (flag & ROW.prologueEnd) return (addresses[i] ?? 0n) + this.base;
      if (second === undefined && flag & ROW.statement && addresses[i] !== addresses[first])
        second = (addresses[i] ?? 0n) + this.base;
    }
    return second ?? low;
  }

  private register(program: LineProgram, file: FileEntry, resolve: ResolveSource): string {
    const directory = program.compilationDirectory;
    const inside = isAbsolute(file.directory) || file.directory !== directory;
    const name = inside ? joinSource(file.directory, file.name) : file.name;
    const path = normal(resolve(directory, name));
    if (!this.byPath.has(path))
      this.byPath.set(path, { path, compilationDirectory: directory, name });
    return path;
  }

  private index(sequence: LineSequence, paths: readonly string[]): void {
    const { addresses, lines, files, flags } = sequence;
    for (let i = 0; i < addresses.length - 1; i++) {
      const address = addresses[i] ?? 0n;
      const line = lines[i] ?? 0;
      if (line === 0 || !((flags[i] ?? 0) & ROW.statement)) continue;
      // Rows of one line that follow each other are one statement.
      const statementBefore = ((flags[i - 1] ?? 0) & ROW.statement) !== 0;
      if (i > 0 && statementBefore && lines[i - 1] === line && files[i - 1] === files[i]) continue;
      const path = paths[files[i] ?? 0] ?? "";
      const byLine = this.statements.get(path) ?? new Map<number, bigint[]>();
      this.statements.set(path, byLine);
      const known = byLine.get(line);
      if (known) known.push(address + this.base);
      else byLine.set(line, [address + this.base]);
    }
  }

  private sequenceAt(address: bigint): Placed | undefined {
    let low = 0;
    let high = this.sequences.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.sequences[middle]?.low ?? 0n) <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.sequences[low - 1];
    return found && address < found.high ? found : undefined;
  }
}

/** Index of the last of several rows at the greatest address not above `address`. */
function lastAtOrBelow(addresses: BigUint64Array, address: bigint): number {
  let low = 0;
  let high = addresses.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((addresses[middle] ?? 0n) <= address) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
