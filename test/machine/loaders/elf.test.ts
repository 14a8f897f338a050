import assert from "node:assert/strict";
import fc from "fast-check";
import { type ElfFile, readElf } from "../../../src/machine/loaders/elf";
import { readElfSections, readElfSymbols } from "../../../src/machine/loaders/elf-sections";
import { buildElf } from "../elf-builder";

const code = Uint8Array.of(0xf4, 0xeb, 0xfd);
const good = (bits: 32 | 64 = 64): Uint8Array =>
  buildElf({
    bits,
    entry: 0x100000,
    segments: [{ physical: 0x100000, bytes: code, memorySize: 0x2000 }],
    symbols: [{ name: "start", value: 0x100000, size: 3 }],
  });

function read(bytes: Uint8Array): ElfFile {
  const elf = readElf(bytes, "guest");
  if (elf.kind === "refused") assert.fail(elf.text);
  return elf;
}

function refusal(bytes: Uint8Array): string {
  const elf = readElf(bytes, "guest");
  if (elf.kind === "elf") assert.fail("not refused");
  return elf.text;
}

/** The good file with one byte changed. */
function with1(at: number, value: number): Uint8Array {
  const bytes = good();
  bytes[at] = value;
  return bytes;
}

describe("ELF reader", () => {
  for (const bits of [32, 64] as const)
    it(`reads headers, segments and symbols of ELF${bits}`, () => {
      const elf = read(good(bits));
      assert.equal(elf.bits, bits);
      assert.equal(elf.entry, 0x100000n);
      assert.deepEqual(
        elf.segments.map(({ physical, memorySize, bytes }) => [physical, memorySize, [...bytes]]),
        [[0x100000n, 0x2000n, [...code]]],
      );
      const symbols = readElfSymbols(elf);
      if ("kind" in symbols) assert.fail(symbols.text);
      const start = symbols.find(({ name }) => name === "start");
      assert.deepEqual(
        [start?.value, start?.size, start?.type, start?.binding],
        [0x100000n, 3n, 2, 1],
      );
    });

  it("says what is wrong, where, and what to do", () => {
    assert.match(refusal(Uint8Array.of(1, 2, 3)), /^guest: not an ELF file/);
    assert.match(refusal(with1(4, 7)), /ELF class 7 at byte 4 .* build it again$/);
    assert.match(refusal(with1(5, 2)), /not little-endian .* build it for x86$/);
    assert.match(refusal(with1(18, 183)), /built for AArch64: build it for x86/);
    assert.match(refusal(with1(18, 3)), /ELF class 64 with a 32-bit machine/);
    assert.match(refusal(with1(16, 1)), /an object file: link it first$/);
    assert.match(refusal(with1(16, 3)), /-no-pie/);
    assert.match(refusal(with1(56, 0)), /no program headers/);
    assert.match(refusal(with1(54, 1)), /program headers of 1 bytes/);
    assert.match(refusal(good().subarray(0, 40)), /truncated: the ELF64 header needs 64 bytes/);
    assert.match(refusal(good().subarray(0, 80)), /truncated: program header 0 at 0x40/);
    assert.match(refusal(good().subarray(0, 4097)), /segment 0 ends at file offset 0x1003/);
    assert.match(
      refusal(buildElf({ entry: 0, segments: [{ physical: 0, bytes: code, memorySize: 1 }] })),
      /segment 0 has 0x3 bytes in the file and room for 0x1/,
    );
  });

  it("refuses section headers past the end, although the file can be loaded", () => {
    const bytes = good();
    const elf = read(bytes.subarray(0, bytes.length - 10));
    const sections = readElfSections(elf);
    assert.ok("kind" in sections && /truncated: section header 3/.test(sections.text));
  });

  it("answers every damaged file with a file or a sentence, and never throws", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(4400), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(4600),
        (changes, length) => {
          const bytes = good().slice(0, Math.max(length, 16));
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          const elf = readElf(bytes, "guest");
          if (elf.kind === "refused") return /^guest: .{10,}/.test(elf.text);
          const symbols = readElfSymbols(elf);
          return "kind" in symbols ? symbols.text.startsWith("guest: ") : true;
        },
      ),
      { numRuns: 2000 },
    );
  });
});
