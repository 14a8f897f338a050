import {
  type ElfSection,
  type ElfSymbol,
  readElf,
  readElfSections,
  readElfSymbols,
  SECTION_COMPRESSED,
} from "../../machine";
import { CallFrames } from "../dwarf/call-frames";
import { DebugInfo } from "../dwarf/debug-info";
import type { DebugSections, ProblemSink } from "../dwarf/debug-sections";
import { readLinePrograms } from "../dwarf/line-section";
import { LineTable } from "./line-table";
import { joinSource, type ResolveSource } from "./source-path";
import { SymbolTable } from "./symbol-table";

/** The symbols and debug information of one file, placed at `base` above the addresses it was linked for. */
export interface Image {
  readonly name: string;
  readonly base: bigint;
  readonly symbols: SymbolTable;
  readonly lines: LineTable;
  /** Its addresses are the file's own: subtract `base` first. */
  readonly info: DebugInfo;
  readonly frames: CallFrames;
  /** One sentence for each thing that could not be read; the rest works. */
  readonly problems: readonly string[];
}

/** Reads what there is to read; a file that is no ELF at all gives an image without symbols and the reason. */
export function loadImage(
  bytes: Uint8Array,
  name: string,
  base = 0n,
  resolve: ResolveSource = joinSource,
): Image {
  const problems: string[] = [];
  const problem = (sentence: string): void => void problems.push(`${name}: ${sentence}`);
  const file = sectionsOf(bytes, name, (sentence) => void problems.push(sentence));
  const byName = new Map(file.sections.map((section) => [section.name, section]));
  const sections: DebugSections = (section) => byName.get(section)?.bytes ?? new Uint8Array();
  const info = new DebugInfo(sections, problem);
  const programs = readLinePrograms(sections, info.units, problem);
  const frames = new CallFrames(
    sections(".debug_frame"),
    sections(".eh_frame"),
    byName.get(".eh_frame")?.address ?? 0n,
    // A 64-bit program may be wrapped in a 32-bit file, for a multiboot loader.
    info.units[0]?.addressSize ?? file.bits / 8,
    problem,
  );
  const lines = new LineTable(programs, base, resolve);
  return {
    name,
    base,
    symbols: new SymbolTable(file.symbols, base),
    lines,
    info,
    frames,
    problems,
  };
}

interface FileParts {
  readonly bits: 32 | 64;
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
}

/** What can be had of the file; sections that cannot be used count as absent. */
function sectionsOf(bytes: Uint8Array, name: string, problem: ProblemSink): FileParts {
  const nothing: FileParts = { bits: 64, sections: [], symbols: [] };
  const elf = readElf(bytes, name);
  if (elf.kind === "refused") {
    problem(`${elf.text}.`);
    return nothing;
  }
  const sections = readElfSections(elf);
  const symbols = readElfSymbols(elf);
  if ("kind" in sections || "kind" in symbols) {
    problem(`${"kind" in sections ? sections.text : "the symbol table is damaged"}.`);
    return { ...nothing, bits: elf.bits };
  }
  const compressed = sections.some((s) => s.flags & SECTION_COMPRESSED && /^\.debug_/.test(s.name));
  if (compressed)
    problem(
      `${name}: the debug sections are compressed: build with -gz=none for lines and variables.`,
    );
  return {
    bits: elf.bits,
    sections: sections.filter((s) => !(s.flags & SECTION_COMPRESSED)),
    symbols,
  };
}
