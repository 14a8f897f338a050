import { ByteReader } from "../byte-reader";
import { AT } from "./codes";
import type { DebugSections, ProblemSink } from "./debug-sections";
import { readExtent } from "./initial-length";
import { type FileEntry, readLineHeader } from "./line-header";
import { type LineSequence, runLineProgram } from "./line-program";
import type { Unit } from "./unit";

/** One line number program: what compiled where, and from which lines. */
export interface LineProgram {
  /** Offset in `.debug_line`: units name their program by it. */
  readonly offset: number;
  /** As recorded; relative when the compiler was told to hide where it ran. */
  readonly compilationDirectory: string;
  /** By the numbers that sequences and `DW_AT_decl_file` use. */
  readonly files: readonly FileEntry[];
  readonly sequences: readonly LineSequence[];
}

/** Every program of `.debug_line`; a damaged one is reported and passed over where its length is good. */
export function readLinePrograms(
  sections: DebugSections,
  units: readonly Unit[],
  problem: ProblemSink,
): LineProgram[] {
  const directories = new Map<number, string>();
  for (const { root } of units) {
    const at = root?.offsetValue(AT.statementList);
    if (at !== undefined && !directories.has(at))
      directories.set(at, root?.text(AT.compilationDirectory) ?? "");
  }
  const programs: LineProgram[] = [];
  const section = new ByteReader(sections(".debug_line"));
  while (section.more) {
    const where = `.debug_line: the table at 0x${section.at.toString(16)}`;
    const extent = readExtent(section);
    if (!extent) {
      problem(`${where} runs out of the section; it and what follows are left out.`);
      break;
    }
    const { reader, offsetSize, start } = extent;
    const recorded = directories.get(start) ?? "";
    const header = readLineHeader(reader, offsetSize, sections, recorded);
    if (typeof header === "string") {
      problem(`${where} ${header}; it is left out.`);
      continue;
    }
    programs.push({
      offset: start,
      // Version 5 keeps the compilation directory in the table itself (6.2.4).
      compilationDirectory: recorded || (header.directories[0] ?? ""),
      sequences: runLineProgram(reader, header),
      files: header.files,
    });
    if (reader.failed) problem(`${where} is cut short; the lines before the damage are kept.`);
  }
  return programs;
}
