import type { ByteReader } from "../byte-reader";
import { FORM, LINE_CONTENT } from "./codes";
import type { DebugSections } from "./debug-sections";
import { type Encoding, readForm } from "./forms";

/** A file of a line table: `directory` as recorded, relative to the compilation directory or absolute. */
export interface FileEntry {
  readonly directory: string;
  readonly name: string;
}

/** The head of a line number program (DWARF 5, 6.2.4). */
export interface LineHeader {
  readonly version: number;
  readonly minInstructionLength: number;
  readonly defaultIsStatement: boolean;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  /** Operands of standard opcode n at index n - 1. */
  readonly operandCounts: readonly number[];
  /** By the number the program uses: from 0 in version 5, from 1 before (0 is then empty). */
  readonly files: FileEntry[];
  readonly directories: readonly string[];
  readonly addressSize: number;
}

/** Reads the header and leaves `reader` at the program; a text for what is wrong with it otherwise. */
export function readLineHeader(
  reader: ByteReader,
  offsetSize: 4 | 8,
  sections: DebugSections,
  compilationDirectory: string,
): LineHeader | string {
  const version = reader.u16();
  if (version < 2 || version > 5) return `has version ${version}; Penumbra reads 2 to 5`;
  const addressSize = version >= 5 ? reader.u8() : 8;
  if (version >= 5) reader.u8(); // size of segment selectors: x86 has none in its addresses
  const headerLength = reader.offset(offsetSize);
  const programStart = reader.at + headerLength;
  const minInstructionLength = reader.u8();
  if (version >= 4) reader.u8(); // operations per instruction: 1 but on VLIW processors
  const defaultIsStatement = reader.u8() !== 0;
  const lineBase = reader.i8();
  const lineRange = reader.u8();
  const opcodeBase = reader.u8();
  const operandCounts: number[] = [];
  for (let opcode = 1; opcode < opcodeBase; opcode++) operandCounts.push(reader.u8());
  if (reader.failed || lineRange === 0 || opcodeBase === 0) return "has a damaged header";

  const encoding = { version, offsetSize, addressSize, unitOffset: 0, sections };
  const lists =
    version >= 5 ? readLists5(reader, encoding) : readLists4(reader, compilationDirectory);
  if (reader.failed || programStart > reader.end) return "has damaged file tables";
  reader.at = programStart;
  return {
    version,
    minInstructionLength,
    defaultIsStatement,
    lineBase,
    lineRange,
    opcodeBase,
    operandCounts,
    addressSize,
    ...lists,
  };
}

type Lists = Pick<LineHeader, "directories" | "files">;

function readLists4(reader: ByteReader, compilationDirectory: string): Lists {
  const directories = [compilationDirectory];
  while (reader.more) {
    const directory = reader.text();
    if (directory === "") break;
    directories.push(directory);
  }
  const files: FileEntry[] = [{ directory: "", name: "" }];
  while (reader.more) {
    const name = reader.text();
    if (name === "") break;
    files.push(readFile4(reader, name, directories));
  }
  return { directories, files };
}

/** What follows the name of a file in versions 2 to 4, also in `DW_LNE_define_file`. */
export function readFile4(
  reader: ByteReader,
  name: string,
  directories: readonly string[],
): FileEntry {
  const directory = reader.count();
  reader.uleb(); // time of modification
  reader.uleb(); // length
  return { directory: directories[directory] ?? "", name };
}

function readLists5(reader: ByteReader, encoding: Encoding): Lists {
  const directories = readEntries5(reader, encoding).map(({ name }) => name);
  const files = readEntries5(reader, encoding).map(({ name, directory }) => ({
    name,
    directory: directories[directory] ?? "",
  }));
  return { directories, files };
}

function readEntries5(
  reader: ByteReader,
  encoding: Encoding,
): { readonly name: string; readonly directory: number }[] {
  const format: { content: number; form: number }[] = [];
  for (let left = reader.u8(); left > 0; left--)
    format.push({ content: reader.count(), form: reader.count() });
  const entries: { name: string; directory: number }[] = [];
  const count = reader.count();
  // A format without forms that take space would let a few bytes claim 2^32 entries.
  if (count > 0 && !format.some(({ form }) => TAKES_SPACE.has(form))) reader.fail();
  for (let left = count; left > 0 && !reader.failed; left--) {
    let name = "";
    let directory = 0;
    for (const { content, form } of format) {
      const value = readForm(reader, form, 0n, encoding);
      if (content === LINE_CONTENT.path) name = value.class === "string" ? value.value : "";
      if (content === LINE_CONTENT.directoryIndex && value.class === "constant")
        directory = Number(value.value);
    }
    entries.push({ name, directory });
  }
  return entries;
}

const TAKES_SPACE: ReadonlySet<number> = new Set([
  FORM.string,
  FORM.strp,
  FORM.lineStrp,
  FORM.udata,
  FORM.data1,
  FORM.data2,
  FORM.data4,
  FORM.data8,
  FORM.data16,
  FORM.block,
]);
