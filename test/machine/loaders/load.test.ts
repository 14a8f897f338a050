import assert from "node:assert/strict";
import fc from "fast-check";
import type { BootImage, BootRequest } from "../../../src/machine/loaders/boot-image";
import { loadImage } from "../../../src/machine/loaders/load";
import { buildElf, concat, multibootHeader } from "../elf-builder";

const MIB = 0x100000;
const code = Uint8Array.of(0xf4);
const request = (image: Uint8Array, more: Partial<BootRequest> = {}): BootRequest => ({
  image,
  imageName: "guest.elf",
  initrd: undefined,
  append: "",
  ramBytes: 16 * MIB,
  ...more,
});

function load(image: Uint8Array, more: Partial<BootRequest> = {}): BootImage {
  const loaded = loadImage(request(image, more));
  if (loaded.kind === "refused") assert.fail(loaded.text);
  return loaded;
}

function refusal(image: Uint8Array, more: Partial<BootRequest> = {}): string {
  const loaded = loadImage(request(image, more));
  if (loaded.kind === "image") assert.fail("not refused");
  return loaded.text;
}

/** Guest memory as the pieces leave it. */
function memoryOf({ pieces }: BootImage): DataView {
  const bytes = new Uint8Array(16 * MIB);
  for (const { gpa, bytes: part } of pieces) bytes.set(part, gpa);
  return new DataView(bytes.buffer);
}

function textAt(memory: DataView, at: number): string {
  let text = "";
  for (let i = at; memory.getUint8(i) !== 0; i++) text += String.fromCharCode(memory.getUint8(i));
  return text;
}

const multibootElf = (bits: 32 | 64, physical = MIB): Uint8Array =>
  buildElf({
    bits,
    entry: physical + 12,
    segments: [{ physical, bytes: concat(multibootHeader(), code) }],
  });

describe("loaders", () => {
  for (const bits of [32, 64] as const)
    it(`enters an ELF${bits} behind a multiboot header with the magic and the information`, () => {
      const image = load(multibootElf(bits), { append: "one two" });
      assert.equal(image.format, "multiboot");
      assert.ok(image.entry.kind === "protected");
      assert.equal(image.entry.eip, MIB + 12);
      assert.equal(image.entry.eax, 0x2badb002);
      const memory = memoryOf(image);
      const info = image.entry.ebx;
      const field = (offset: number): number => memory.getUint32(info + offset, true);
      assert.equal(field(0) & 0x4d, 0x4d);
      assert.equal(field(8), 15 * 1024);
      assert.equal(textAt(memory, field(16)), "guest.elf one two");
      assert.equal(field(20), 0);
      const rows: number[][] = [];
      for (let at = field(48); at < field(48) + field(44); at += field(48) ? 24 : 0)
        rows.push([4, 12, 20].map((offset) => memory.getUint32(at + offset, true)));
      assert.deepEqual(rows, [
        [0, 0x9fc00, 1],
        [0x9fc00, 0x400, 2],
        [0xe0000, 0x20000, 2],
        [MIB, 15 * MIB, 1],
      ]);
    });

  it("hands over an initrd as the one module, above the image", () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const image = load(multibootElf(64), { initrd: { name: "env", bytes } });
    const memory = memoryOf(image);
    assert.ok(image.entry.kind === "protected");
    const info = image.entry.ebx;
    assert.equal(memory.getUint32(info + 20, true), 1);
    const list = memory.getUint32(info + 24, true);
    const start = memory.getUint32(list, true);
    assert.equal(start % 4096, 0);
    assert.ok(start > MIB);
    assert.equal(memory.getUint32(list + 4, true), start + 3);
    assert.equal(textAt(memory, memory.getUint32(list + 8, true)), "env");
    assert.deepEqual(
      [0, 1, 2].map((i) => memory.getUint8(start + i)),
      [1, 2, 3],
    );
  });

  it("loads by the address fields of the header", () => {
    const fields = [0x200000, 0x200000, 0, 0x201000, 0x200020];
    const image = load(concat(multibootHeader(0x10000, fields), code), { imageName: "kernel" });
    assert.ok(image.entry.kind === "protected");
    assert.equal(image.entry.eip, 0x200020);
    assert.equal(memoryOf(image).getUint8(0x200020), 0xf4);
  });

  it("translates an entry point given as a virtual address", () => {
    const image = load(
      buildElf({
        bits: 32,
        entry: 0xc0100000,
        segments: [{ physical: MIB, virtual: 0xc0100000, bytes: concat(multibootHeader(), code) }],
      }),
    );
    assert.ok(image.entry.kind === "protected" && image.entry.eip === MIB);
  });

  it("moves the information away from an image that lies where it would go", () => {
    const low = multibootElf(32, 0x8000);
    const big = buildElf({
      bits: 32,
      entry: 0x8000,
      segments: [{ physical: 0x8000, bytes: multibootHeader(), memorySize: 0x10000 }],
    });
    const [near, away] = [load(low), load(big)];
    assert.ok(near.entry.kind === "protected" && near.entry.ebx === 0x9000);
    assert.ok(away.entry.kind === "protected" && away.entry.ebx >= MIB);
  });

  it("starts a bare ELF64 in long mode on an identity map of 4 GiB", () => {
    const image = load(buildElf({ entry: MIB, segments: [{ physical: MIB, bytes: code }] }));
    assert.ok(image.entry.kind === "long");
    assert.equal(image.entry.rip, BigInt(MIB));
    const memory = memoryOf(image);
    const entry = (table: bigint, index: number): bigint =>
      memory.getBigUint64(Number(table & ~0xfffn) + 8 * index, true);
    const pdpt = entry(BigInt(image.entry.cr3), 0);
    assert.equal(entry(entry(pdpt, 3), 511), 0xffe00083n);
  });

  it("starts a bare ELF32 in flat protected mode", () => {
    const image = load(
      buildElf({ bits: 32, entry: MIB, segments: [{ physical: MIB, bytes: code }] }),
    );
    assert.deepEqual(image.entry, { kind: "protected", eip: MIB, eax: 0, ebx: 0 });
  });

  it("puts flat real-mode code at 0:7c00", () => {
    const image = load(code, { imageName: "boot.bin" });
    assert.deepEqual(image.entry, { kind: "real", address: 0x7c00, dl: 0x80 });
    assert.equal(memoryOf(image).getUint8(0x7c00), 0xf4);
  });

  it("refuses in a sentence what cannot be loaded", () => {
    const at = (physical: number): Uint8Array =>
      buildElf({ entry: physical, segments: [{ physical, bytes: code }] });
    assert.match(refusal(new Uint8Array()), /the file is empty/);
    assert.match(refusal(code), /neither ELF, nor multiboot, nor a boot sector/);
    assert.match(
      refusal(at(64 * MIB)),
      /segment 0 at gpa 0x4000000–0x4000001 lies outside guest memory .* more --memory/,
    );
    assert.match(refusal(at(0x90000)), /where the start-up tables go/);
    assert.match(
      refusal(buildElf({ entry: 5, segments: [{ physical: MIB, bytes: code }] })),
      /the entry point 0x5 lies in no segment/,
    );
    assert.match(refusal(multibootHeader(4)), /requires features 0x4/);
    assert.match(refusal(multibootHeader()), /not ELF: set flag bit 16/);
    assert.match(refusal(multibootHeader(0x10000, [])), /truncated: the multiboot address fields/);
    assert.match(
      refusal(multibootElf(64), { initrd: { name: "big", bytes: new Uint8Array(16 * MIB) } }),
      /big: 0x1000000 bytes do not fit .* more --memory/,
    );
    assert.match(
      refusal(at(MIB), { initrd: { name: "x", bytes: code } }),
      /x: guest.elf has no multiboot header/,
    );
    assert.match(refusal(new Uint8Array(700_000), { imageName: "a.bin" }), /do not fit at 0x7c00/);
  });

  it("answers every damaged image with an image inside memory or a sentence, and never throws", () => {
    const images = [
      multibootElf(32),
      multibootElf(64),
      concat(multibootHeader(0x10000, [0x200000, 0x200000, 0, 0x201000, 0x200020]), code),
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...images),
        fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(5000),
        (image, changes, length) => {
          const bytes = image.slice(0, length);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          const loaded = loadImage(request(bytes));
          if (loaded.kind === "refused") return loaded.text.startsWith("guest.elf: ");
          return loaded.pieces.every(
            ({ gpa, bytes: part }) => gpa >= 0 && gpa + part.length <= 16 * MIB,
          );
        },
      ),
      { numRuns: 2000 },
    );
  });
});
