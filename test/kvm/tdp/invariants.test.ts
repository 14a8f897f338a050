import assert from "node:assert/strict";
import { sp } from "../tables";
import { TdpGuest } from "./tdp-guest";

/** The page of level 1, 2, 3, and the root of level 4, after one touch. */
const page = (g: TdpGuest, level: number) => g.vm.findPage(sp(4 - level) as never)!;
const set = (g: TdpGuest, level: number, index: number, lo: number, hi: number): void => {
  const word = 2 * (page(g, level).base + index);
  g.vm.core.state.words[word] = lo;
  g.vm.core.state.words[word + 1] = hi;
};
const LEAF_LO = 0x9b77;
const LEAF_HI = 0x86000001;

/** Each breaks one thing, by hand, in a tree that maps gfn 9. */
const CORRUPTIONS: Readonly<Record<string, (g: TdpGuest) => void>> = {
  "INV-S-01": (g) => set(g, 1, 9, 0xab77, LEAF_HI),
  "INV-S-02": (g) => set(g, 2, 0, 0x1907, 0x80000002),
  "INV-S-03": (g) => set(g, 1, 9, LEAF_LO, LEAF_HI | 0x08000000),
  "INV-S-04": (g) => set(g, 2, 1, LEAF_LO | 0x80, LEAF_HI),
  "INV-S-05": (g) => set(g, 1, 9, LEAF_LO, LEAF_HI & ~0x04000000),
  "INV-S-06": (g) => void Object.assign(g.vm.slots[0]!, { flags: 2 }),
  "INV-S-07": (g) => set(g, 1, 7, 0x40, 0x80000000),
  "INV-S-13": (g) => set(g, 1, 7, 0x5a0, 0x80000000),
  "INV-S-14": (g) => set(g, 1, 9, LEAF_LO, LEAF_HI | 0x00100000),
  "INV-R-04": (g) => {
    g.vm.slots[0]!.arch.rmap[0][9] = page(g, 1).base + 9;
  },
  "INV-R-05": (g) => set(g, 1, 9, LEAF_LO & ~4, LEAF_HI),
  "INV-R-07": (g) => set(g, 2, 1, 0x3907, 0x80000002),
  "INV-P-02": (g) => void page(g, 4).rootCount++,
  "INV-P-04": (g) => void g.vm.core.state.tdpMmu!.roots.push(page(g, 4)),
  "INV-P-05": (g) => void g.vm.core.state.stats.pages_4k++,
  "INV-P-08": (g) => {
    page(g, 1).parentPtes = 0;
  },
};

describe("the invariants of the TDP MMU", () => {
  for (const [id, corrupt] of Object.entries(CORRUPTIONS))
    it(`${id} is noticed when broken in a tree`, () => {
      const g = new TdpGuest();
      g.touch(0x9000, "write");
      assert.deepEqual(g.vm.check(), []);
      corrupt(g);
      const found = g.vm.check();
      assert.ok(
        found.some((sentence) => sentence.startsWith(`${id}: `)),
        `found only ${JSON.stringify(found)}`,
      );
    });
});
