import assert from "node:assert/strict";
import { dirtyPages } from "./dirty-oracle";
import { AT, guestOver1G, leaves, PAGES } from "./gigabyte-guest";

describe("a 1G leaf of a slot that logs", () => {
  for (const paging of ["shadow", "ept"] as const)
    it(`is split to 2M and 4K under ${paging}, and comes back`, () => {
      const g = guestOver1G({ paging, mmuPages: 0x300, knobs: { eagerPageSplit: true } });
      g.entry(0x1000, 0x2067).entry(0x2000, 0x400000e7).start("4-level", 0x1000);
      g.write(3, 0x403000, 7);
      assert.equal(g.vm.stats.pages_1g, 1);
      const small = g.vm.stats.pages_4k;
      g.setSlot(1, PAGES, PAGES, AT, 1);
      assert.deepEqual(leaves(g), [small + PAGES, 0, 0]);
      assert.deepEqual(g.vm.check(g.vcpu), []);
      dirtyPages(g, 1);
      g.write(3, 0x403008, 8);
      assert.deepEqual(dirtyPages(g, 1), [0x403]);
      assert.deepEqual(g.read(3, 0x403000), { kind: "ok", value: 7n, emulated: false });
      g.setSlot(1, PAGES, PAGES, AT);
      g.read(3, 0x403000);
      assert.deepEqual(leaves(g).slice(1), [0, 1]);
    });
});
