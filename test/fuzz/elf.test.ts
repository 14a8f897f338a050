import assert from "node:assert/strict";
import fc from "fast-check";
import { Symbols } from "../../src/debug";
import { fixture } from "../debug/fixture";

const SEED = 20261121;
const files = ["sample-v4", "sample-v5"] as const;

/** Loads what is left of a file and asks everything of it; whatever it holds, nothing may be thrown. */
function exercise(bytes: Uint8Array): readonly string[] {
  const symbols = new Symbols();
  const image = symbols.load(bytes, "fuzzed");
  for (const { path } of symbols.sources) symbols.nextLineWithCode(path, 1);
  for (const address of [0x400000n, 0x400009n, 0x400030n, 0x400071n, 0x402000n]) {
    symbols.lineAt(address);
    symbols.describe(address);
    symbols.framesAt(address);
    image.frames.at(address);
  }
  for (const name of ["visit", "counter", "first", "_start"]) {
    symbols.breakAddress(name);
    image.info.global(name);
  }
  for (const problem of image.problems) {
    assert.ok(problem.length > 10 && problem.length < 300, problem);
    assert.match(problem, /\.$/, "a problem is a sentence");
    assert.ok(!problem.includes("\n"), problem);
  }
  return image.problems;
}

describe("the ELF reader, fuzzed", () => {
  it(`a file cut short anywhere is read as far as it goes (seed ${SEED})`, () => {
    fc.assert(
      fc.property(fc.constantFrom(...files), fc.nat(17_000), (name, length) => {
        const whole = fixture(name);
        const problems = exercise(whole.slice(0, length));
        // The section table is at the end: without it there is something to tell.
        assert.ok(length >= whole.length || problems.length > 0);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it("headers with any bytes changed throw nothing", () => {
    const header = fc.array(fc.tuple(fc.nat(63), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...files), header, (name, changes) => {
        const bytes = fixture(name);
        for (const [at, value] of changes) bytes[at] = value;
        exercise(bytes);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it("section headers with any bytes changed throw nothing", () => {
    const changes = fc.array(fc.tuple(fc.nat(1500), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.constantFrom(...files), changes, (name, list) => {
        const bytes = fixture(name);
        const table = Number(new DataView(bytes.buffer).getBigUint64(0x28, true));
        for (const [at, value] of list) if (table + at < bytes.length) bytes[table + at] = value;
        exercise(bytes);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it("bytes that are no ELF at all give one problem", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.ok(exercise(bytes).length >= 1);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
});
