import assert from "node:assert/strict";
import { CR4, gfn, type PagingMode } from "../../../src/x86";
import { checked } from "../checked";
import { Guest } from "../guest";

/** Where the page of each size maps its first byte, and the address the guest reaches it at. */
interface Size {
  readonly name: string;
  readonly mode: PagingMode;
  readonly va: bigint;
  /** gpa that `va` leads to. */
  readonly gpa: number;
  /** Largest spte the guest's page allows. */
  readonly level: number;
  build(g: Guest): void;
}

const longTables = (g: Guest): Guest =>
  g.entry(0x1000, 0x2067).entry(0x2000, 0x3067).entry(0x3010, 0x4067);
const paeTables = (g: Guest): Guest => g.entry(0x1000, 0x2001);

const SIZES: readonly Size[] = [
  {
    name: "4K of 4-level",
    mode: "4-level",
    va: 0x403000n,
    gpa: 0x403000,
    level: 1,
    build: (g) => longTables(g).entry(0x4018, 0x403067),
  },
  {
    name: "2M of 4-level",
    mode: "4-level",
    va: 0x403000n,
    gpa: 0x603000,
    level: 2,
    build: (g) => longTables(g).entry(0x3010, 0x6000e7),
  },
  {
    name: "1G of 4-level",
    mode: "4-level",
    va: 0x40403000n,
    gpa: 0x403000,
    level: 3,
    build: (g) => longTables(g).entry(0x2008, 0xe7),
  },
  {
    name: "4K of PAE",
    mode: "PAE",
    va: 0x403000n,
    gpa: 0x403000,
    level: 1,
    build: (g) => paeTables(g).entry(0x2010, 0x3067).entry(0x3018, 0x403067),
  },
  {
    name: "2M of PAE",
    mode: "PAE",
    va: 0x403000n,
    gpa: 0x603000,
    level: 2,
    build: (g) => paeTables(g).entry(0x2010, 0x6000e7),
  },
  {
    name: "4K of 32-bit",
    mode: "32-bit",
    va: 0x403000n,
    gpa: 0x403000,
    level: 1,
    build: (g) => g.entry32(0x1004, 0x2067).entry32(0x200c, 0x403067),
  },
  {
    name: "4M of 32-bit, lower half",
    mode: "32-bit",
    va: 0x803000n,
    gpa: 0x403000,
    level: 2,
    build: (g) => g.entry32(0x1008, 0x4000e7),
  },
  {
    name: "4M of 32-bit, upper half",
    mode: "32-bit",
    va: 0xa03000n,
    gpa: 0x603000,
    level: 2,
    build: (g) => g.entry32(0x1008, 0x4000e7),
  },
  {
    name: "no paging",
    mode: "none",
    va: 0x403000n,
    gpa: 0x403000,
    level: 2,
    build: () => {},
  },
];

const guestOver = (hostLevel: 1 | 2): Guest =>
  new Guest({ ...checked, backing: { kind: "anonymous", writable: true, thp: hostLevel === 2 } });

const begin = ({ mode, build }: Size, hostLevel: 1 | 2): Guest => {
  const g = guestOver(hostLevel);
  build(g);
  return g.start(mode, mode === "none" ? 0 : 0x1000, { cr4: CR4.PSE });
};

describe("guest pages of every size over host pages of every size", () => {
  for (const size of SIZES)
    for (const hostLevel of [1, 2] as const)
      it(`F-021 F-024 F-132 F-133 F-134 F-135 ${size.name} over ${hostLevel === 1 ? "4K" : "2M"}`, () => {
        const g = begin(size, hostLevel);
        const cpl = size.mode === "none" ? 0 : 3;
        assert.deepEqual(g.write(cpl, size.va, 7, 4), { kind: "ok", value: 7n, emulated: false });
        assert.equal(g.entryAt(size.gpa), 7n);
        assert.deepEqual(g.read(cpl, size.va, 4), { kind: "ok", value: 7n, emulated: false });
        const level = Math.min(size.level, hostLevel);
        assert.notEqual(g.vm.rmapOf(gfn(size.gpa / 4096), level), 0);
        assert.deepEqual(
          [g.vm.stats.pages_2m, g.vm.stats.pages_4k > 0],
          [level === 2 ? 1 : 0, level === 1],
        );
      });

  it("F-136 a 4M page with a table in its upper half is large below and small above", () => {
    const g = guestOver(2).entry32(0x1008, 0x4000e7).entry32(0x1004, 0x600067);
    g.entry32(0x60000c, 0x9067);
    g.start("32-bit", 0x1000, { cr4: CR4.PSE });
    g.read(3, 0x403000, 4);
    g.write(3, 0x803000, 1, 4);
    g.write(3, 0xa03000, 1, 4);
    assert.notEqual(g.vm.rmapOf(gfn(0x400), 2), 0);
    assert.equal(g.vm.rmapOf(gfn(0x600), 2), 0);
    assert.notEqual(g.vm.rmapOf(gfn(0x603), 1), 0);
  });
});
