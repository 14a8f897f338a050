import assert from "node:assert/strict";
import {
  bitFields,
  describeBits,
  describeError,
  ENTRY,
  ENTRY_HI_NX,
  entryBits,
  entryFlags,
  entryFrame,
  entryName,
  entryRights,
  entryRole,
  eptFormat,
  errorFlags,
  errorText,
  type Format,
  longFormat,
  paeFormat,
  spokenBits,
  twoLevelFormat,
} from "../../../src/x86";

const long = longFormat(4);

/** Every format, level and state of bit 7 that an entry can have. */
const places: [string, Format, number, bigint][] = [
  longFormat(5),
  long,
  paeFormat(),
  twoLevelFormat(true),
  twoLevelFormat(false),
].flatMap((format, i) =>
  Array.from({ length: format.levels }, (_, k) => k + 1).flatMap((level) =>
    [0n, 0x80n].map((bit7): [string, Format, number, bigint] => [
      `${i} ${format.mode} level ${level} bit 7 ${bit7 ? "set" : "clear"}`,
      format,
      level,
      bit7,
    ]),
  ),
);

describe("entry bits", () => {
  // One line per row and place: bit, letter, for one set bit at a time.
  const flagsOfOneBit = (format: Format, level: number, base: bigint) =>
    entryBits(format, level, base)
      .filter((row) => row.flag)
      .map((row) => `${row.bit}${row.flag}`)
      .join(" ");

  for (const [name, format, level, base, expected] of [
    ["PTE", long, 1, 0n, "0P 1W 2U 3PWT 4PCD 5A 6D 7PAT 8G 63NX"],
    ["PDE of a table", long, 2, 0n, "0P 1W 2U 3PWT 4PCD 5A 7PS 63NX"],
    ["PDE of a 2 MiB page", long, 2, 0x80n, "0P 1W 2U 3PWT 4PCD 5A 6D 7PS 8G 12PAT 63NX"],
    ["PDPTE of a 1 GiB page", long, 3, 0x80n, "0P 1W 2U 3PWT 4PCD 5A 6D 7PS 8G 12PAT 63NX"],
    ["PML4E", long, 4, 0n, "0P 1W 2U 3PWT 4PCD 5A 63NX"],
    ["PML5E", longFormat(5), 5, 0n, "0P 1W 2U 3PWT 4PCD 5A 63NX"],
    ["PAE PDPTE register", paeFormat(), 3, 0n, "0P 3PWT 4PCD"],
    ["PAE PDE", paeFormat(), 2, 0n, "0P 1W 2U 3PWT 4PCD 5A 7PS 63NX"],
    ["32-bit PTE", twoLevelFormat(true), 1, 0n, "0P 1W 2U 3PWT 4PCD 5A 6D 7PAT 8G"],
    ["32-bit PDE, PSE", twoLevelFormat(true), 2, 0x80n, "0P 1W 2U 3PWT 4PCD 5A 6D 7PS 8G 12PAT"],
    ["32-bit PDE, no PSE", twoLevelFormat(false), 2, 0x80n, "0P 1W 2U 3PWT 4PCD 5A"],
  ] as const)
    it(`${name} has ${expected}`, () => {
      assert.equal(flagsOfOneBit(format, level, base), expected);
    });

  for (const [name, format, level, base] of places)
    it(`rows do not overlap and cite the manual: ${name}`, () => {
      const rows = entryBits(format, level, base);
      const seen = new Set<number>();
      for (const row of rows)
        for (let bit = row.bit; bit < row.bit + (row.width ?? 1); bit++) {
          assert.ok(!seen.has(bit), `bit ${bit}`);
          seen.add(bit);
        }
      assert.ok([...seen].every((bit) => bit < format.entryBytes * 8));
      for (const row of rows) assert.match(row.sdm, /^3A 4\.\d/);
      const ids = rows.map((row) => row.id);
      assert.equal(new Set(ids).size, ids.length, "ids are distinct");
    });

  it("the walker's masks are the bits of the rows", () => {
    const ids = {
      present: "p",
      writable: "w",
      user: "u",
      accessed: "a",
      dirty: "d",
      large: "ps",
      global: "g",
    };
    for (const [name, mask] of Object.entries(ENTRY)) {
      const row = entryBits(long, 2, 0x80n).find(({ id }) => id === ids[name as keyof typeof ids]);
      assert.equal(row && 1 << row.bit, mask, name);
    }
    assert.equal(entryRights(7, 0), 7);
    assert.equal(entryRights(3, ENTRY_HI_NX), 2);
  });

  it("flag text has the letters of the bits that are set, or says not present", () => {
    assert.equal(entryFlags(long, 1, 0x8000000000009067n), "P W U A D NX");
    assert.equal(entryFlags(long, 2, 0x2000e7n), "P W U A D PS");
    assert.equal(entryFlags(long, 2, 0x3007n), "P W U");
    assert.equal(entryFlags(long, 1, 0x9066n), "not present");
  });

  it("tooltips name every bit, set or clear", () => {
    const lines = describeBits(entryBits(long, 1, 0x9005n), 0x9005n);
    assert.ok(lines.includes("0 P present: the entry is used"));
    assert.ok(lines.includes("1 W writable: read-only"));
    assert.ok(lines.includes("51:12 frame = 0x9: 4 KiB frame of the page"));
  });

  it("spoken labels say the rights also when they are refused", () => {
    assert.equal(
      spokenBits(entryBits(long, 1, 0x9025n), 0x9025n),
      "present, read-only, user, accessed, executable",
    );
    assert.equal(
      spokenBits(entryBits(long, 1, 0x8000000000009163n), 0x8000000000009163n),
      "present, writable, supervisor only, accessed, dirty, global, no execute",
    );
  });

  it("fields are booleans for bits and numbers for wider ones", () => {
    const entry = (5n << 59n) | 0x9025n;
    const fields = bitFields(entryBits(long, 1, entry), entry);
    assert.deepEqual(
      [fields.p, fields.w, fields.a, fields.pkey, fields.frame],
      [true, false, true, 5n, 9n],
    );
  });

  it("roles and frames follow bit 7 where it means large", () => {
    assert.equal(entryRole(long, 3, 0x80n), "large");
    assert.equal(entryRole(long, 4, 0x80n), "table");
    assert.equal(entryRole(twoLevelFormat(false), 2, 0x80n), "table");
    assert.equal(entryRole(paeFormat(), 3, 0x80n), "register");
    assert.equal(entryFrame(long, 2, 0x2010e7n), 0x200, "PAT is no part of the frame");
    assert.equal(entryFrame(long, 1, 0x80000000_00201067n), 0x201);
    assert.equal(entryFrame(twoLevelFormat(true), 2, 0x4020e7n), 0x100400);
    assert.equal([5, 4, 3, 2, 1].map(entryName).join(" "), "PML5E PML4E PDPTE PDE PTE");
  });
});

describe("error codes", () => {
  it("have letters and words", () => {
    assert.equal(errorFlags(0), "0");
    assert.equal(errorFlags(7), "P W U");
    assert.equal(errorText(4), "user read of a page that is not present");
    assert.equal(errorText(3), "supervisor write to a page that does not allow it");
    assert.equal(errorText(0x15), "user fetch from a page that does not allow it");
    assert.equal(errorText(9), "supervisor read of a page with a reserved bit set in its tables");
    assert.equal(errorText(0x25), "user read of a page whose protection key refuses it");
    assert.equal(describeError(0x11)[4], "4 F fetch: by an instruction fetch");
  });
});

describe("the bits of EPT entries", () => {
  const format = eptFormat(4, true);

  it("F-182 letters of the bits that are set, by what the entry is", () => {
    assert.equal(entryFlags(format, 1, 0x9377n), "R W X IPAT A D");
    assert.equal(entryFlags(format, 2, 0x9107n), "R W X A");
    assert.equal(entryFlags(format, 2, 0x2000f3n), "R W IPAT PS");
    assert.equal(entryFlags(format, 1, 0x9004n), "X");
    assert.equal(entryFlags(format, 1, 0x9000n), "not present");
  });

  it("says the memory type and the frame", () => {
    const fields = bitFields(entryBits(format, 1, 0x9377n), 0x9377n);
    assert.deepEqual([fields.memtype, fields.frame], [6n, 9n]);
  });
});
