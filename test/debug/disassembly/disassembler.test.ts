import assert from "node:assert/strict";
import fc from "fast-check";
import { Disassembler, type Row, Symbols } from "../../../src/debug";
import { fixture, loaded } from "../fixture";
import { withImage } from "../guest";

const SEED = 20261121;

/** A listing of the fixture's code, as the debugger reads it. */
function listing(symbols = loaded("sample-v5")): Disassembler {
  const { machine } = withImage(fixture("sample-v5"), symbols);
  const space = machine.gva(0);
  return new Disassembler(symbols, (address, length) => space.read(address as never, length), 64);
}

const shown = (rows: readonly Row[]): string[] =>
  rows.map((r) => `${r.address.toString(16)} ${r.text}`);

describe("the disassembler", () => {
  it("lists forward with the names of what operands point to", () => {
    assert.deepEqual(shown(listing().window(0x400000n, 0, 5)), [
      "400000 xor ebp, ebp",
      "400002 mov edi, 0x3",
      "400007 call 0x400060  ; outer",
      "40000c hlt",
      "40000d jmp short 0x40000c  ; spin",
    ]);
    const head = listing().at(0x400065n);
    assert.equal(head.text, "mov rdi, [0x402008]  ; head");
    assert.equal(listing().at(0x400060n).symbol, "outer");
  });

  it("lists backward from a place in the middle, on the instructions that run", () => {
    const rows = listing().window(0x40000cn, -3, 5);
    assert.deepEqual(
      rows.map((r) => r.address),
      [0x400000n, 0x400002n, 0x400007n, 0x40000cn, 0x40000dn],
    );
  });

  it("fills with marked rows where nothing is mapped, without repeating an address", () => {
    const rows = listing().window(0x10n, -20, 22);
    assert.equal(rows.length, 22);
    assert.equal(rows[20]?.address, 0x10n);
    assert.equal(rows[0]?.address, -4n);
    assert.ok(rows.every((r) => !r.valid));
    assert.equal(rows[21]?.text, "(not mapped)");
    assert.equal(new Set(rows.map((r) => r.address)).size, 22);
  });

  it(`gives exactly as many rows as asked for, ascending, whatever is asked (seed ${SEED})`, () => {
    const withNames = listing();
    const without = listing(new Symbols());
    fc.assert(
      fc.property(
        fc.constantFrom(withNames, without),
        fc.bigInt({ min: 0n, max: 0x400100n }),
        fc.integer({ min: -60, max: 60 }),
        fc.integer({ min: 0, max: 80 }),
        (disassembler, address, offset, count) => {
          const rows = disassembler.window(address, offset, count);
          assert.equal(rows.length, count);
          for (let i = 1; i < rows.length; i++)
            assert.ok((rows[i]?.address ?? 0n) > (rows[i - 1]?.address ?? 0n));
          const at = rows[-offset];
          if (offset <= 0 && at) assert.equal(at.address, address);
        },
      ),
      { seed: SEED, numRuns: 150 },
    );
  });

  it("a window and a longer one that begins earlier show the same rows", () => {
    const disassembler = listing();
    const long = disassembler.window(0x400071n, -12, 14);
    for (let back = 0; back <= 12; back++)
      assert.deepEqual(disassembler.window(0x400071n, -back, back + 2), long.slice(12 - back));
  });
});
