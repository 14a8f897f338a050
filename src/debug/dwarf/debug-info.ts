import { AT, TAG } from "./codes";
import type { DebugSections, ProblemSink } from "./debug-sections";
import type { Entry } from "./entry";
import { type AddressRange, covers, rangesOf } from "./ranges";
import { readUnits, type Unit } from "./unit";

/** Longest chain of references followed; only a damaged file has a longer one. */
const CHAIN = 16;

/** A function with code, as the compiler described it. Addresses are the file's own, without a base. */
export interface FunctionEntry {
  readonly name: string;
  readonly entry: Entry;
  readonly unit: Unit;
  readonly ranges: readonly AddressRange[];
  /** Where a call enters. */
  readonly low: bigint;
}

/** `.debug_info` of one image: units, functions by address and name, global variables by name. */
export class DebugInfo {
  readonly units: readonly Unit[];
  private readonly functionsByUnit = new Map<Unit, readonly FunctionEntry[]>();
  private readonly unitRanges = new Map<Unit, readonly AddressRange[]>();
  private globalsByName: ReadonlyMap<string, Entry> | undefined;

  constructor(sections: DebugSections, problem: ProblemSink) {
    this.units = readUnits(sections, problem);
  }

  entryAt(offset: number): Entry | undefined {
    let low = 0;
    let high = this.units.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.units[middle]?.start ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    const unit = this.units[low - 1];
    return unit && offset < unit.end ? unit.entries.get(offset) : undefined;
  }

  /** The entry an attribute points to. */
  target(entry: Entry, attribute: number): Entry | undefined {
    const offset = entry.reference(attribute);
    return offset === undefined ? undefined : this.entryAt(offset);
  }

  /**
   * The entry itself, or the first one it was made from (abstract instance, declaration), that has
   * this attribute (DWARF 5, 2.13.2 and 3.3.8).
   */
  having(entry: Entry, attribute: number): Entry | undefined {
    let at: Entry | undefined = entry;
    for (let step = 0; at && step < CHAIN; step++) {
      if (at.attributes.has(attribute)) return at;
      at = this.target(at, AT.abstractOrigin) ?? this.target(at, AT.specification);
    }
    return undefined;
  }

  nameOf(entry: Entry): string | undefined {
    return this.having(entry, AT.name)?.name;
  }

  functionAt(address: bigint): FunctionEntry | undefined {
    for (const unit of this.units) {
      const ranges = this.rangesOfUnit(unit);
      if (ranges.length > 0 && !covers(ranges, address)) continue;
      const found = this.functionsOf(unit).find((f) => covers(f.ranges, address));
      if (found) return found;
    }
    return undefined;
  }

  unitAt(address: bigint): Unit | undefined {
    return this.units.find((unit) => covers(this.rangesOfUnit(unit), address));
  }

  functionNamed(name: string): FunctionEntry | undefined {
    for (const unit of this.units) {
      const found = this.functionsOf(unit).find((f) => f.name === name);
      if (found) return found;
    }
    return undefined;
  }

  /** Inlined calls around an address inside a function, outermost first. */
  inlinedAt(fn: FunctionEntry, address: bigint): readonly Entry[] {
    const path: Entry[] = [];
    let scope: Entry | undefined = fn.entry;
    while (scope) {
      scope = scope.children.find(
        (child) =>
          (child.tag === TAG.inlinedSubroutine || child.tag === TAG.lexicalBlock) &&
          (covers(rangesOf(child), address) || holdsInlined(child, address)),
      );
      if (scope?.tag === TAG.inlinedSubroutine) path.push(scope);
    }
    return path;
  }

  global(name: string): Entry | undefined {
    return this.globals.get(name);
  }

  get globals(): ReadonlyMap<string, Entry> {
    this.globalsByName ??= this.findGlobals();
    return this.globalsByName;
  }

  private findGlobals(): ReadonlyMap<string, Entry> {
    const globals = new Map<string, Entry>();
    for (const unit of this.units) {
      for (const entry of unit.root === undefined ? [] : unit.entries.values()) {
        if (entry.tag !== TAG.variable || entry.parent?.tag !== TAG.compileUnit) continue;
        const name = this.nameOf(entry);
        if (name !== undefined && entry.attributes.has(AT.location) && !globals.has(name))
          globals.set(name, entry);
      }
    }
    return globals;
  }

  functionsOf(unit: Unit): readonly FunctionEntry[] {
    const known = this.functionsByUnit.get(unit);
    if (known) return known;
    const functions: FunctionEntry[] = [];
    for (const entry of unit.entries.values()) {
      if (entry.tag !== TAG.subprogram) continue;
      const ranges = rangesOf(entry);
      const first = ranges[0];
      const name = this.nameOf(entry);
      if (!first || name === undefined) continue;
      const low = entry.address(AT.entryPc) ?? entry.address(AT.lowPc) ?? first.low;
      functions.push({ name, entry, unit, ranges, low });
    }
    this.functionsByUnit.set(unit, functions);
    return functions;
  }

  private rangesOfUnit(unit: Unit): readonly AddressRange[] {
    const known = this.unitRanges.get(unit);
    if (known) return known;
    const ranges = unit.root ? rangesOf(unit.root) : [];
    this.unitRanges.set(unit, ranges);
    return ranges;
  }
}

/** A lexical block without ranges of its own still holds the calls inlined into it. */
function holdsInlined(block: Entry, address: bigint): boolean {
  return (
    block.tag === TAG.lexicalBlock &&
    rangesOf(block).length === 0 &&
    block.children.some((c) => c.tag === TAG.inlinedSubroutine && covers(rangesOf(c), address))
  );
}
