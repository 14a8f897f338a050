import { ByteReader } from "../byte-reader";
import { type Abbreviation, readAbbreviations } from "./abbreviations";
import { AT, UNIT } from "./codes";
import type { DebugSections, ProblemSink } from "./debug-sections";
import { Entry } from "./entry";
import { type AttributeValue, type Encoding, readForm } from "./forms";
import { readExtent } from "./initial-length";

/**
 * One unit of `.debug_info`. Its entries are read when first asked for: a kernel has thousands of
 * units, a session looks into a few.
 */
export class Unit implements Encoding {
  readonly unitOffset: number;
  private tree: ReadonlyMap<number, Entry> | undefined;
  private peek: Entry | undefined;

  constructor(
    readonly version: number,
    readonly offsetSize: 4 | 8,
    readonly addressSize: number,
    readonly sections: DebugSections,
    /** At the first entry; its end is the unit's. */
    private readonly body: ByteReader,
    readonly start: number,
    private readonly abbreviations: ReadonlyMap<number, Abbreviation>,
    private readonly problem: ProblemSink,
  ) {
    this.unitOffset = start;
  }

  get end(): number {
    return this.body.end;
  }

  /** The unit's own entry, without its children when the rest of the unit has not been needed yet. */
  get root(): Entry | undefined {
    if (this.tree) return this.tree.values().next().value;
    this.peek ??= this.readRoot();
    return this.peek;
  }

  /** All entries by offset in `.debug_info`, parents before children. */
  get entries(): ReadonlyMap<number, Entry> {
    this.tree ??= this.readTree();
    return this.tree;
  }

  private readRoot(): Entry | undefined {
    return this.readEntry(new ByteReader(this.body.bytes, this.body.at, this.body.end))?.entry;
  }

  private readTree(): ReadonlyMap<number, Entry> {
    const reader = new ByteReader(this.body.bytes, this.body.at, this.body.end);
    const entries = new Map<number, Entry>();
    const parents: Entry[] = [];
    while (reader.more) {
      const read = this.readEntry(reader, parents.at(-1));
      if (reader.failed) {
        this.problem(
          `.debug_info: the unit at 0x${this.start.toString(16)} is damaged; what follows the damage is left out.`,
        );
        break;
      }
      if (!read) {
        if (parents.length === 0) continue; // padding behind the last entry
        parents.pop();
        if (parents.length === 0) break;
        continue;
      }
      entries.set(read.entry.offset, read.entry);
      parents.at(-1)?.children.push(read.entry);
      if (read.hasChildren) parents.push(read.entry);
      else if (parents.length === 0) break;
    }
    return entries;
  }

  /** `undefined` for the null entry that ends a list of siblings. */
  private readEntry(
    reader: ByteReader,
    parent?: Entry,
  ): { readonly entry: Entry; readonly hasChildren: boolean } | undefined {
    const offset = reader.at;
    const code = reader.count();
    if (code === 0) return undefined;
    const abbreviation = this.abbreviations.get(code);
    if (!abbreviation) {
      reader.fail();
      return undefined;
    }
    const attributes = new Map<number, AttributeValue>();
    for (const { attribute, form, implicit } of abbreviation.attributes)
      attributes.set(attribute, readForm(reader, form, implicit, this));
    if (reader.failed) return undefined;
    return {
      entry: new Entry(this, offset, abbreviation.tag, attributes, parent),
      hasChildren: abbreviation.hasChildren,
    };
  }

  get lowPc(): bigint {
    return this.root?.address(AT.lowPc) ?? 0n;
  }
}

/** All units of `.debug_info`. Damage is reported and ends the list, or skips the unit it is in. */
export function readUnits(sections: DebugSections, problem: ProblemSink): Unit[] {
  const units: Unit[] = [];
  const tables = new Map<number, ReadonlyMap<number, Abbreviation> | undefined>();
  const section = new ByteReader(sections(".debug_info"));
  while (section.more) {
    const at = `0x${section.at.toString(16)}`;
    const extent = readExtent(section);
    if (!extent) {
      problem(
        `.debug_info: the unit at ${at} runs out of the section; it and what follows are left out.`,
      );
      break;
    }
    const { reader, offsetSize, start } = extent;
    const version = reader.u16();
    if (version < 2 || version > 5) {
      problem(`.debug_info: the unit at ${at} has version ${version}; Penumbra reads 2 to 5.`);
      continue;
    }
    const kind = version >= 5 ? reader.u8() : UNIT.compile;
    let addressSize = version >= 5 ? reader.u8() : 0;
    const abbreviationsAt = reader.offset(offsetSize);
    if (version < 5) addressSize = reader.u8();
    if (kind === UNIT.skeleton || kind === UNIT.splitCompile) reader.u64();
    else if (kind === UNIT.type || kind === UNIT.splitType) continue; // found by signature only
    if (!tables.has(abbreviationsAt))
      tables.set(abbreviationsAt, readAbbreviations(sections(".debug_abbrev"), abbreviationsAt));
    const table = tables.get(abbreviationsAt);
    if (reader.failed || !table || ![2, 4, 8].includes(addressSize)) {
      problem(`.debug_info: the header of the unit at ${at} is damaged; the unit is left out.`);
      continue;
    }
    units.push(new Unit(version, offsetSize, addressSize, sections, reader, start, table, problem));
  }
  return units;
}
