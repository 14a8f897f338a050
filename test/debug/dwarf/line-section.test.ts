import assert from "node:assert/strict";
import { readLinePrograms } from "../../../src/debug/dwarf/line-section";
import { LineTable } from "../../../src/debug/symbols/line-table";

const ADDRESS = [0, 9, 2, 0x00, 0x10, 0, 0, 0, 0, 0, 0];
const END = [0, 1, 1];
/** The special opcode that moves on by `bytes` and `lines`, under the header below. */
const move = (bytes: number, lines: number): number => lines + 5 + 14 * bytes + 13;

/** A version 4 table of a.c (and inc/b.h): line base -5, range 14, opcode base 13. */
function table(program: readonly number[]): Uint8Array {
  const text = (s: string): number[] => [...Buffer.from(s), 0];
  const lists = [...text("inc"), 0, ...text("a.c"), 0, 0, 0, ...text("b.h"), 1, 0, 0, 0];
  const counts = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
  const header = [1, 1, 1, 0xfb, 14, 13, ...counts, ...lists];
  const body = [4, 0, header.length, 0, 0, 0, ...header, ...program];
  return Uint8Array.from([body.length, 0, 0, 0, ...body]);
}

function lines(...program: number[]): LineTable {
  const bytes = table(program);
  const problems: string[] = [];
  const sections = (name: string): Uint8Array =>
    name === ".debug_line" ? bytes : new Uint8Array();
  const programs = readLinePrograms(sections, [], (text) => problems.push(text));
  assert.deepEqual(problems, []);
  return new LineTable(programs, 0n);
}

describe("line number programs", () => {
  it("special opcodes move address and line together", () => {
    const found = lines(...ADDRESS, move(0, 4), move(3, 2), 2, 5, ...END);
    assert.deepEqual(found.addressesFor("a.c", 5), [0x1000n]);
    assert.deepEqual(found.addressesFor("a.c", 7), [0x1003n]);
    assert.deepEqual([found.lineAt(0x1007n)?.line, found.lineAt(0x1008n)], [7, undefined]);
  });

  it("another file of the table has its directory in front", () => {
    const found = lines(...ADDRESS, 4, 2, 1, 2, 4, ...END);
    assert.deepEqual(found.addressesFor("inc/b.h", 1), [0x1000n]);
    assert.deepEqual(
      found.sources.map((s) => s.path),
      ["inc/b.h"],
    );
  });

  it("rows that are no statements are no places to stop", () => {
    const found = lines(...ADDRESS, 1, 6, move(2, 3), 6, move(2, 1), 2, 4, ...END);
    assert.deepEqual(found.addressesFor("a.c", 4), []);
    assert.equal(found.lineAt(0x1002n)?.line, 4);
    assert.deepEqual(found.addressesFor("a.c", 5), [0x1004n]);
  });

  it("const_add_pc, fixed_advance_pc and advance_line move as the manual says", () => {
    // const_add_pc: (255 - 13) / 14 = 17 bytes.
    const found = lines(...ADDRESS, 1, 8, 3, 9, 1, 9, 0x20, 0, 3, 0x7e, 1, 2, 1, ...END);
    assert.deepEqual(found.addressesFor("a.c", 10), [0x1011n]);
    assert.deepEqual(found.addressesFor("a.c", 8), [0x1031n]);
  });

  it("a line that is left and entered again has two places", () => {
    const found = lines(...ADDRESS, 1, move(2, 1), move(2, -1), 2, 2, ...END);
    assert.deepEqual(found.addressesFor("a.c", 1), [0x1000n, 0x1004n]);
    const entry = found.lineAt(0x1005n);
    assert.deepEqual([entry?.low, entry?.high], [0x1004n, 0x1006n]);
  });

  it("an opcode of a later version is passed over by its operand count", () => {
    const found = lines(...ADDRESS, 12, 3, 1, 2, 4, ...END);
    assert.deepEqual(found.addressesFor("a.c", 1), [0x1000n]);
  });

  it("a sequence at address 0 belongs to a function the linker dropped", () => {
    const found = lines(0, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, ...END);
    assert.deepEqual(found.addressesFor("a.c", 1), []);
  });
});
