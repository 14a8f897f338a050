import assert from "node:assert/strict";
import { ENTRY_S, loaded, SAMPLE_C } from "../fixture";

describe("source lines", () => {
  for (const version of ["sample-v4", "sample-v5"] as const) {
    it(`${version}: paths stay relative, as the compiler recorded them`, () => {
      const symbols = loaded(version);
      assert.deepEqual(symbols.images[0]?.problems, []);
      assert.deepEqual(symbols.sources.map((s) => s.path).sort(), [ENTRY_S, SAMPLE_C]);
    });

    it(`${version}: lines of assembly have addresses and back`, () => {
      const symbols = loaded(version);
      assert.deepEqual(symbols.addressesFor(ENTRY_S, 6), [0x400007n]);
      const entry = symbols.lineAt(0x400009n);
      assert.equal(entry?.line, 6);
      assert.deepEqual([entry?.low, entry?.high], [0x400007n, 0x40000cn]);
      assert.equal(entry?.statement, false);
    });
  }

  it("an optimised loop body is found where its code is, and a statement without code is not", () => {
    const symbols = loaded("sample-v5");
    assert.deepEqual(symbols.addressesFor(SAMPLE_C, 19), [0x400030n]);
    assert.deepEqual(symbols.addressesFor(SAMPLE_C, 24), []);
    assert.equal(symbols.lineAt(0x40005an)?.line, 29);
    assert.equal(symbols.nextLineWithCode(SAMPLE_C, 23), 25);
    assert.equal(symbols.nextLineWithCode(SAMPLE_C, 36), undefined);
    assert.deepEqual(symbols.linesWithCode(SAMPLE_C, 24, 30), [25, 29]);
  });

  it("an image moved by a base answers with moved addresses", () => {
    const symbols = loaded("sample-v4", 0x10000n);
    assert.deepEqual(symbols.addressesFor(ENTRY_S, 6), [0x410007n]);
    assert.equal(symbols.lineAt(0x410007n)?.line, 6);
    assert.equal(symbols.lineAt(0x400007n), undefined);
    assert.equal(symbols.symbol("_start")?.address, 0x410000n);
  });

  it("a function breakpoint stops behind the entry code in C and at the first instruction in assembly", () => {
    const symbols = loaded("sample-v4");
    const visit = symbols.functionNamed("visit");
    assert.ok(visit);
    const stop = symbols.breakAddress("visit") ?? 0n;
    assert.ok(stop > visit.low && stop < visit.high);
    assert.equal(symbols.lineAt(stop)?.line, 24);
    assert.equal(symbols.breakAddress("_start"), 0x400000n);
    assert.equal(symbols.breakAddress("spin"), 0x40000cn);
  });

  it("an address in an inlined call stands for two frames", () => {
    const frames = loaded("sample-v5").framesAt(0x400030n);
    assert.deepEqual(
      frames.map((f) => [f.name, f.path, f.line]),
      [
        ["twice", SAMPLE_C, 19],
        ["visit", SAMPLE_C, 26],
      ],
    );
  });

  it("addresses have names with offsets", () => {
    const symbols = loaded("sample-v5");
    assert.equal(symbols.describe(0x400020n), "visit");
    assert.equal(symbols.describe(0x400024n), "visit+0x4");
    assert.equal(symbols.describe(0x10n), undefined);
  });
});
