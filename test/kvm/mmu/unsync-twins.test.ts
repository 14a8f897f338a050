import assert from "node:assert/strict";
import { OF_2012 } from "../../../src/kvm";
import { checked } from "../checked";
import { firstGuest } from "../tables";

describe("unsync pages of one guest table", () => {
  it("F-076 in 2012 one stays unsync when another level-1 page is made of the table", () => {
    const g = firstGuest({ ...checked, profile: OF_2012 });
    // gva 0x6000 is the table itself; at 0x200000 it is linked a second time, read-only.
    g.entry(0x4030, 0x4067).entry(0x3008, 0x4005).enter();
    g.read(3, 0x5000);
    g.write(3, 0x6040, 0);
    const unsync = (): number => g.vm.core.state.stats.mmu_unsync;
    assert.equal(unsync(), 1);
    g.log.length = 0;
    assert.equal(g.read(3, 0x205000).kind, "ok");
    assert.equal(unsync(), 1);
    assert.ok(!g.log.some(({ name }) => name === "kvm_mmu_sync_page"));
  });
});
