import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { TdpGuest } from "./tdp-guest";

describe("references to a TDP root", () => {
  it("F-073 vCPUs share a root: one reference each, and the MMU's own until it is zapped", () => {
    const g = new TdpGuest();
    const { root } = g.vcpu.mmu;
    assert.ok(root.kind === "page");
    assert.equal(root.page.rootCount, 2);
    const second = g.more();
    assert.equal(second.vcpu.mmu.root.kind === "page" && second.vcpu.mmu.root.page, root.page);
    assert.equal(root.page.rootCount, 3);
    g.touch(0x9000, "write");
    g.setSlot(1, 0x4000, 0x100, GUEST_HVA);
    g.setSlot(1, 0, 0, GUEST_HVA);
    assert.ok(root.page.invalid);
    assert.equal(root.page.rootCount, 2);
    g.touch(0x9000, "write");
    assert.equal(root.page.rootCount, 1);
    second.vcpu.enter();
    assert.equal(root.page.rootCount, 0);
    const { root: fresh } = g.vcpu.mmu;
    assert.ok(fresh.kind === "page" && fresh.page !== root.page);
    assert.equal(fresh.page.rootCount, 3);
  });
});

describe("generations and the TDP MMU", () => {
  it("F-066 a page below a root is as good in one generation as in another", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    const { state } = g.vm.core;
    state.mmuValidGen ^= 1;
    const exits = g.vcpu.mmu.stats.pf_taken;
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.equal(g.touch(0xa000, "write"), "ok");
    assert.equal(g.vcpu.mmu.stats.pf_taken, exits + 1);
    assert.equal(state.tdpMmu?.linkedPages, 3);
  });
});
