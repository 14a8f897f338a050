import type { ByteReader } from "../byte-reader";
import { LINE_EXTENDED, LINE_OP } from "./codes";
import { type LineHeader, readFile4 } from "./line-header";

/** Flags of a row. */
export const ROW = { statement: 1, prologueEnd: 2 } as const;

/**
 * A run of instructions in address order, as columns. The last row is the end: its address is the
 * first one behind the run, its other columns are meaningless (DWARF 5, 6.2.2).
 */
export interface LineSequence {
  readonly addresses: BigUint64Array;
  readonly lines: Uint32Array;
  /** Index in the header's files. */
  readonly files: Uint32Array;
  readonly columns: Uint16Array;
  readonly flags: Uint8Array;
}

/** The registers of the line number state machine (6.2.2) that Penumbra keeps. */
interface Registers {
  address: bigint;
  file: number;
  line: number;
  column: number;
  statement: boolean;
  prologueEnd: boolean;
}

interface Row {
  readonly address: bigint;
  readonly file: number;
  readonly line: number;
  readonly column: number;
  readonly flags: number;
}

/** Runs the program to its end; rows of a sequence that is cut short are dropped. */
export function runLineProgram(reader: ByteReader, header: LineHeader): LineSequence[] {
  const sequences: LineSequence[] = [];
  let registers = initial(header);
  let rows: Row[] = [];
  const emit = (): void => {
    rows.push(rowOf(registers));
    registers.prologueEnd = false;
  };
  while (reader.more) {
    const opcode = reader.u8();
    if (opcode >= header.opcodeBase) {
      special(registers, header, opcode);
      emit();
    } else if (opcode === LINE_OP.copy) {
      emit();
    } else if (opcode === LINE_OP.extended) {
      if (extended(reader, registers, header) === "end") {
        rows.push(rowOf(registers));
        const sequence = columnsOf(rows);
        if (sequence) sequences.push(sequence);
        rows = [];
        registers = initial(header);
      }
    } else {
      standard(reader, registers, header, opcode);
    }
  }
  return sequences;
}

const initial = (header: LineHeader): Registers => ({
  address: 0n,
  file: 1,
  line: 1,
  column: 0,
  statement: header.defaultIsStatement,
  prologueEnd: false,
});

const rowOf = (r: Registers): Row => ({
  address: r.address,
  file: r.file,
  line: r.line,
  column: r.column,
  flags: (r.statement ? ROW.statement : 0) | (r.prologueEnd ? ROW.prologueEnd : 0),
});

function advance(registers: Registers, header: LineHeader, operations: bigint): void {
  const bytes = operations * BigInt(header.minInstructionLength);
  registers.address = BigInt.asUintN(64, registers.address + bytes);
}

function special(registers: Registers, header: LineHeader, opcode: number): void {
  const adjusted = opcode - header.opcodeBase;
  advance(registers, header, BigInt(Math.floor(adjusted / header.lineRange)));
  registers.line += header.lineBase + (adjusted % header.lineRange);
}

function standard(
  reader: ByteReader,
  registers: Registers,
  header: LineHeader,
  opcode: number,
): void {
  switch (opcode) {
    case LINE_OP.advancePc:
      advance(registers, header, reader.uleb());
      return;
    case LINE_OP.advanceLine:
      registers.line += Number(reader.sleb());
      return;
    case LINE_OP.setFile:
      registers.file = reader.count();
      return;
    case LINE_OP.setColumn:
      registers.column = reader.count();
      return;
    case LINE_OP.negateStatement:
      registers.statement = !registers.statement;
      return;
    case LINE_OP.constAddPc:
      advance(registers, header, BigInt(Math.floor((255 - header.opcodeBase) / header.lineRange)));
      return;
    case LINE_OP.fixedAdvancePc:
      registers.address = BigInt.asUintN(64, registers.address + BigInt(reader.u16()));
      return;
    case LINE_OP.setPrologueEnd:
      registers.prologueEnd = true;
      return;
    case LINE_OP.setIsa:
      reader.uleb();
      return;
    case LINE_OP.setBasicBlock:
    case LINE_OP.setEpilogueBegin:
      return;
    default:
      // An opcode of a later version: the header says how many operands to pass over (6.2.5.2).
      for (let left = header.operandCounts[opcode - 1] ?? 0; left > 0; left--) reader.uleb();
  }
}

function extended(reader: ByteReader, registers: Registers, header: LineHeader): "end" | undefined {
  const body = reader.slice(reader.count());
  switch (body.u8()) {
    case LINE_EXTENDED.endSequence:
      return body.failed ? undefined : "end";
    case LINE_EXTENDED.setAddress: {
      const size = body.end - body.at;
      if ([2, 4, 8].includes(size)) registers.address = body.unsigned(size);
      return undefined;
    }
    case LINE_EXTENDED.defineFile:
      header.files.push(readFile4(body, body.text(), header.directories));
      return undefined;
    default:
      return undefined; // discriminators and extensions move nothing
  }
}

/** `undefined` for a sequence that covers no code or whose addresses go backwards. */
function columnsOf(all: readonly Row[]): LineSequence | undefined {
  const rows = withCode(all);
  const first = rows[0];
  const last = rows.at(-1);
  if (!first || !last || first.address >= last.address) return undefined;
  if (rows.some((row, i) => i > 0 && row.address < (rows[i - 1]?.address ?? 0n))) return undefined;
  return {
    addresses: BigUint64Array.from(rows, (r) => r.address),
    lines: Uint32Array.from(rows, (r) => Math.max(0, r.line)),
    files: Uint32Array.from(rows, (r) => r.file),
    columns: Uint16Array.from(rows, (r) => Math.min(r.column, 0xffff)),
    flags: Uint8Array.from(rows, (r) => r.flags),
  };
}

/**
 * Of several rows at one address only one has the instructions: the last statement, or the last row
 * when none is. (gcc repeats a line as a non-statement, with another view number, behind each one.)
 */
function withCode(rows: readonly Row[]): Row[] {
  const kept: Row[] = [];
  let chosen: Row | undefined;
  rows.forEach((row, i) => {
    const statement = (row.flags & ROW.statement) !== 0;
    if (chosen?.address !== row.address || statement || !(chosen.flags & ROW.statement))
      chosen = row;
    if (rows[i + 1]?.address !== row.address) kept.push(chosen);
  });
  return kept;
}
