import { CallFrames } from "../dwarf/call-frames";
import { DebugInfo } from "../dwarf/debug-info";
import type { DebugSections } from "../dwarf/debug-sections";
import { readLinePrograms } from "../dwarf/line-section";
import { readElfSections } from "./elf-sections";
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
  const read = readElfSections(bytes, name);
  if (typeof read === "string") problems.push(read);
  const file = typeof read === "string" ? { class: 64 as const, sections: [] } : read;
  const byName = new Map(file.sections.map((section) => [section.name, section]));
  const sections: DebugSections = (section) => byName.get(section)?.bytes ?? new Uint8Array();
  const info = new DebugInfo(sections, problem);
  const programs = readLinePrograms(sections, info.units, problem);
  const frames = new CallFrames(
    sections(".debug_frame"),
    sections(".eh_frame"),
    byName.get(".eh_frame")?.address ?? 0n,
    file.class === 64 ? 8 : 4,
    problem,
  );
  const lines = new LineTable(programs, base, resolve);
  return { name, base, symbols: new SymbolTable(file, base), lines, info, frames, problems };
}
