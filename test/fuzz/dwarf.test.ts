import assert from "node:assert/strict";
import fc from "fast-check";
import { Symbols } from "../../src/debug";
import { rowAt } from "../../src/debug/dwarf/call-frame-row";
import { CallFrames } from "../../src/debug/dwarf/call-frames";
import { DebugInfo } from "../../src/debug/dwarf/debug-info";
import { readLinePrograms } from "../../src/debug/dwarf/line-section";
import { evaluateLocation } from "../../src/debug/dwarf/location-expression";
import { typeOf } from "../../src/debug/dwarf/type-reader";
import { readElf, readElfSections } from "../../src/machine";
import { fixture, loaded, SAMPLE_C } from "../debug/fixture";

const SEED = 20261121;
const versions = ["sample-v4", "sample-v5"] as const;

/** The debug sections of a fixture, as copies that may be spoilt. */
function sectionsOf(name: (typeof versions)[number]): Map<string, Uint8Array> {
  const elf = readElf(fixture(name), name);
  assert.ok(elf.kind === "elf");
  const sections = readElfSections(elf);
  assert.ok(!("kind" in sections));
  return new Map(sections.map((s) => [s.name, s.bytes.slice()]));
}

/** Reads all there is: lines, entries, types, frames. */
function readAll(sections: Map<string, Uint8Array>): readonly string[] {
  const problems: string[] = [];
  const get = (name: string): Uint8Array => sections.get(name) ?? new Uint8Array();
  const problem = (text: string): void => void problems.push(text);
  const info = new DebugInfo(get, problem);
  readLinePrograms(get, info.units, problem);
  for (const unit of info.units)
    for (const entry of unit.entries.values()) {
      info.nameOf(entry);
      const type = typeOf(info, entry);
      if (type.kind === "struct") type.members();
      if (type.kind === "pointer") type.target();
    }
  for (let address = 0x400000n; address < 0x400080n; address += 5n) {
    const fn = info.functionAt(address);
    if (fn) info.inlinedAt(fn, address);
  }
  const frames = new CallFrames(get(".debug_frame"), get(".eh_frame"), 0x401000n, 8, problem);
  for (let address = 0x400000n; address < 0x400080n; address++) {
    const frame = frames.at(address);
    if (frame) rowAt(frame, address);
  }
  return problems;
}

describe("the DWARF reader, fuzzed", () => {
  const names = [
    ".debug_info",
    ".debug_abbrev",
    ".debug_line",
    ".eh_frame",
    ".debug_str",
    ".debug_line_str",
    ".debug_rnglists",
    ".debug_loclists",
    ".debug_ranges",
    ".debug_loc",
  ];
  const changes = fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(2000), fc.nat(255)), {
    minLength: 1,
    maxLength: 10,
  });

  it(`sections with any bytes changed throw nothing and end (seed ${SEED})`, () => {
    fc.assert(
      fc.property(fc.constantFrom(...versions), changes, (version, list) => {
        const sections = sectionsOf(version);
        for (const [name, at, value] of list) {
          const bytes = sections.get(name);
          if (bytes && bytes.length > 0) bytes[at % bytes.length] = value;
        }
        for (const text of readAll(sections)) assert.match(text, /^\.[a-z_]+: .*\.$/);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  it("a section cut short is told of, and the others still answer", () => {
    fc.assert(
      fc.property(fc.constantFrom(...versions), fc.nat(1000), (version, length) => {
        const sections = sectionsOf(version);
        const lines = sections.get(".debug_line") ?? new Uint8Array();
        const cut = length % lines.length;
        sections.set(".debug_line", lines.slice(0, cut));
        const problems: string[] = [];
        const get = (name: string): Uint8Array => sections.get(name) ?? new Uint8Array();
        const info = new DebugInfo(get, (text) => problems.push(text));
        readLinePrograms(get, info.units, (text) => problems.push(text));
        assert.equal(info.functionNamed("visit")?.name, "visit");
        const first = new DataView(lines.buffer, lines.byteOffset).getUint32(0, true) + 4;
        // Cut exactly between two tables, or before the first, there is nothing wrong.
        assert.ok(problems.length > 0 || cut === 0 || cut === first);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  it("any bytes are an expression that ends", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const location = evaluateLocation(bytes, undefined, {
          pc: 0n,
          base: 0n,
          register: (n) => BigInt(n),
          read: (_, size) => new Uint8Array(size),
          cfa: () => 0x1000n,
          frameBase: () => 0x2000n,
        });
        assert.ok(["memory", "register", "value", "bytes", "gone"].includes(location.kind));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it("any bytes as one section throw nothing", () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 300 }), (name, bytes) => {
        readAll(new Map(sectionsOf("sample-v5")).set(name, bytes));
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it("a table that claims four thousand million files ends at once", () => {
    // Version 5, no directory formats, a huge count.
    const bytes = [
      40, 0, 0, 0, 5, 0, 8, 0, 32, 0, 0, 0, 1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0,
      1, 0, 0xff, 0xff, 0xff, 0xff, 15,
    ];
    const padded = Uint8Array.from({ length: 44 }, (_, i) => bytes[i] ?? 0);
    const problems: string[] = [];
    readLinePrograms(
      (name) => (name === ".debug_line" ? padded : new Uint8Array()),
      [],
      (text) => problems.push(text),
    );
    assert.deepEqual(problems, [
      ".debug_line: the table at 0x0 has damaged file tables; it is left out.",
    ]);
  });

  it("64-bit DWARF reads the same lines", () => {
    const sections = sectionsOf("sample-v4");
    const narrow = sections.get(".debug_line") ?? new Uint8Array();
    sections.set(".debug_line", widened(narrow));
    sections.delete(".debug_info");
    const get = (name: string): Uint8Array => sections.get(name) ?? new Uint8Array();
    const programs = readLinePrograms(get, [], (text) => assert.fail(text));
    const lines = programs.flatMap((p) => p.sequences).flatMap((s) => [...s.lines]);
    const plain = loaded("sample-v4").linesWithCode(SAMPLE_C, 1, 100);
    assert.ok(plain.every((line) => lines.includes(line)));
  });

  it("symbols of a damaged file still work", () => {
    const bytes = fixture("sample-v5");
    const elf = readElf(bytes, "x");
    assert.ok(elf.kind === "elf");
    const sections = readElfSections(elf);
    assert.ok(!("kind" in sections));
    sections.find((s) => s.name === ".debug_info")?.bytes.fill(0xff);
    const symbols = new Symbols();
    const image = symbols.load(bytes, "damaged.elf");
    assert.match(image.problems[0] ?? "", /^damaged\.elf: \.debug_info: .+\.$/);
    assert.equal(symbols.breakAddress("visit"), 0x400020n);
  });
});

/** The same line tables with lengths and header lengths of 8 bytes (DWARF 5, 7.4). */
function widened(section: Uint8Array): Uint8Array {
  const out: number[] = [];
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  for (let at = 0; at < section.length; ) {
    const length = view.getUint32(at, true);
    const wide = new DataView(new ArrayBuffer(8));
    const push = (value: number): void => {
      wide.setBigUint64(0, BigInt(value), true);
      out.push(...new Uint8Array(wide.buffer));
    };
    out.push(0xff, 0xff, 0xff, 0xff);
    push(length + 4);
    out.push(...section.subarray(at + 4, at + 6));
    push(view.getUint32(at + 6, true));
    out.push(...section.subarray(at + 10, at + 4 + length));
    at += 4 + length;
  }
  return Uint8Array.from(out);
}
