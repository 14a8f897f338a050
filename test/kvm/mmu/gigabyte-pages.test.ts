import assert from "node:assert/strict";
import { ZONE_BASE } from "../../../src/host";
import { CR4, gfn, type PagingMode } from "../../../src/x86";
import { checked } from "../checked";
import { Guest, type GuestOptions } from "../guest";
import { AT, GIB, guestOver1G, leaves, PAGES } from "./gigabyte-guest";

interface Size {
  readonly name: string;
  readonly mode: PagingMode;
  readonly va: bigint;
  readonly level: number;
  build(g: Guest): void;
}
/** Each maps `va` to gpa 0x40403000. */
const long = (g: Guest): Guest => g.entry(0x1000, 0x2067).entry(0x2000, 0x3067);
const SIZES: readonly Size[] = [
  {
    name: "4K",
    mode: "4-level",
    va: 0x403000n,
    level: 1,
    build: (g) => long(g).entry(0x3010, 0x4067).entry(0x4018, 0x40403067),
  },
  {
    name: "2M",
    mode: "4-level",
    va: 0x403000n,
    level: 2,
    build: (g) => long(g).entry(0x3010, 0x404000e7),
  },
  {
    name: "1G",
    mode: "4-level",
    va: 0x403000n,
    level: 3,
    build: (g) => g.entry(0x1000, 0x2067).entry(0x2000, 0x400000e7),
  },
  {
    name: "2M of PAE",
    mode: "PAE",
    va: 0x403000n,
    level: 2,
    build: (g) => g.entry(0x1000, 0x2001).entry(0x2010, 0x404000e7),
  },
  {
    name: "4M of 32-bit",
    mode: "32-bit",
    va: 0x403000n,
    level: 2,
    build: (g) => g.entry32(0x1004, 0x404000e7),
  },
  { name: "no paging", mode: "none", va: 0x40403000n, level: 2, build: () => {} },
];
const begin = (size: Size, options: GuestOptions = {}): Guest => {
  const g = guestOver1G(options);
  size.build(g);
  return g.start(size.mode, size.mode === "none" ? 0 : 0x1000, { cr4: CR4.PSE });
};

describe("guest pages of every size over a 1G host page", () => {
  for (const size of SIZES)
    it(`F-132 F-134 F-135 ${size.name} over 1G`, () => {
      const g = begin(size, checked);
      const cpl = size.mode === "none" ? 0 : 3;
      const before = leaves(g);
      assert.equal(g.write(cpl, size.va, 7, 4).kind, "ok");
      assert.deepEqual(g.read(cpl, size.va, 4), { kind: "ok", value: 7n, emulated: false });
      const made = leaves(g).map((count, i) => count - before[i]!);
      assert.deepEqual(
        [1, 2, 3].map((level) => made[level - 1] === 1),
        [1, 2, 3].map((level) => level === size.level),
      );
      assert.notEqual(g.vm.rmapOf(gfn(0x40403), size.level), 0);
    });

  it("F-136 F-138 a guest table in a 1G frame bars it at 1G, and at 2M around the table", () => {
    const g = begin(SIZES[2]!, checked);
    g.entry(0x2008, 0x50000067).entry(0x50000000, 0x404000e7);
    g.read(3, 0x40003000);
    g.write(3, 0x403000, 7);
    assert.deepEqual(leaves(g).slice(1), [2, 0]);
    const { lpage } = g.vm.slots[1]!.arch;
    assert.deepEqual([lpage[1][0], lpage[0][0x80], lpage[0][2]], [1, 1, 0]);
    g.write(3, 0x10000008, 7);
    assert.deepEqual(leaves(g).slice(1), [2, 0]);
  });

  it("F-137 F-139 a slot that is smaller than the frame has no leaf of its size", () => {
    const g = new Guest({ ...checked, devicePages: PAGES });
    g.process.mmap(AT, GIB, {
      kind: "device",
      writable: true,
      first: ZONE_BASE.device,
      level: 3,
    });
    // 3 MiB, beginning a MiB before a 2M border.
    g.setSlot(1, PAGES + 0x300, 0x300, AT + 0x300000);
    g.entry(0x1000, 0x2067).entry(0x2000, 0x400000e7).start("4-level", 0x1000);
    assert.deepEqual([...g.vm.slots[1]!.arch.lpage[0]], [1, 0]);
    assert.deepEqual([...g.vm.slots[1]!.arch.lpage[1]], [1]);
    g.write(3, 0x350000, 1);
    assert.deepEqual(leaves(g).slice(1), [0, 0]);
    g.write(3, 0x450000, 1);
    assert.deepEqual(leaves(g).slice(1), [1, 0]);
  });

  it("F-162 F-139 memory that is not aligned alike in both spaces has no large leaf at all", () => {
    const g = new Guest({ ...checked, devicePages: PAGES });
    g.process.mmap(AT, GIB, {
      kind: "device",
      writable: true,
      first: ZONE_BASE.device,
      level: 3,
    });
    g.setSlot(1, PAGES, 0x800, AT + 0x1000);
    g.entry(0x1000, 0x2067).entry(0x2000, 0x400000e7).start("4-level", 0x1000);
    assert.ok(g.vm.slots[1]!.arch.lpage.every((counts) => counts.every((count) => count > 0)));
    g.write(3, 0x250000, 1);
    assert.deepEqual(leaves(g).slice(1), [0, 0]);
  });
});
