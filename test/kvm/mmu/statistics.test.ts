import assert from "node:assert/strict";
import { OF_2010 } from "../../../src/kvm/profile";
import { checked } from "../checked";
import { firstGuest, touchedGuest } from "../tables";

describe("the statistics of the MMU", () => {
  it("every flush of all TLBs is one that was asked for, and one that was done", () => {
    const g = touchedGuest(checked);
    const { remote_tlb_flush: done, remote_tlb_flush_requests: asked } = g.vm.stats;
    g.vm.core.state.flushRemoteTlbs("a test");
    assert.equal(g.vm.stats.remote_tlb_flush, done + 1);
    assert.equal(g.vm.stats.remote_tlb_flush_requests, asked + 1);
  });

  it("a root that is loaded flushes the TLB of its vCPU, and INVLPG counts for itself", () => {
    const g = firstGuest(checked).enter();
    const { stats } = g.vcpu.mmu;
    assert.deepEqual([stats.tlb_flush, stats.invlpg], [1, 0]);
    g.entry(0xa000, 0x2007).movCr3(0xa000).enter();
    assert.equal(stats.tlb_flush > 1, true);
    g.invlpg(0x5000);
    assert.equal(stats.invlpg, 1);
  });

  it("the longest chain of the reverse map is remembered as it was before its last entry", () => {
    const g = touchedGuest(checked);
    for (let i = 0; i < 3; i++) g.entry(0x4040 + 8 * i, 0x9067);
    g.read(3, 0x8000);
    assert.equal(g.vm.stats.max_mmu_rmap_size, 3);
    g.invlpg(0x8000);
    g.read(3, 0x5000);
    assert.equal(g.vm.stats.max_mmu_rmap_size, 3, "a shorter one changes nothing");
  });

  it("F-005 a lookup counts the pages of other gfns in its bucket", () => {
    // In 2010 the bucket is the gfn modulo 1024.
    const g = touchedGuest({ ...checked, profile: OF_2010 });
    assert.equal(g.vm.stats.max_mmu_page_hash_collisions, 0);
    g.entry(0x2008, 0x403067).entry(0x403000, 0x803067).entry(0x803000, 0x9067);
    g.read(3, 0x40000000);
    assert.equal(g.vm.stats.max_mmu_page_hash_collisions, 2);
    assert.equal(g.vm.stats.mmu_cache_miss, 6);
  });

  it("pages that are zapped are counted, and so are those of them that were flooded", () => {
    const g = touchedGuest(checked);
    const before = g.vm.stats.mmu_shadow_zapped;
    for (let i = 0; i < 3; i++) g.emulatedStore(0x3ff0, 0);
    assert.equal(g.vm.stats.mmu_shadow_zapped, before + 1);
    assert.equal(g.vm.stats.mmu_flooded, 1);
  });
});
