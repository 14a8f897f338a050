import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { gfn } from "../../../src/x86";
import { NP, sp } from "../tables";
import { TdpGuest } from "./tdp-guest";

describe("the TDP MMU", () => {
  it("G17 F-033 maps the first write under EPT, event by event", () => {
    const g = new TdpGuest();
    const root = g.vcpu.mmu.root;
    assert.ok(root.kind === "page" && root.page.role === 0x3784 && root.page.rootCount === 2);
    g.log.length = 0;
    assert.equal(g.touch(0x9000, "write"), "ok");
    const page = (level: number) =>
      `kvm_mmu_get_page: sp gen 0 gfn 0 l${level} 8-byte q0 direct wux nxe ad root 0 sync new`;
    const changed = (gfn: string, level: number, spte: string) =>
      `kvm_tdp_mmu_spte_changed: as id 0 gfn ${gfn} level ${level} old_spte 8000000000000000 new_spte ${spte}`;
    assert.deepEqual(g.events(), [
      "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
      page(3),
      changed("0", 4, "8000000200001907"),
      page(2),
      changed("0", 3, "8000000200002907"),
      page(1),
      changed("0", 2, "8000000200003907"),
      changed("9", 1, "8600000100009b77"),
      "kvm_mmu_set_spte: gfn 9 spte 8600000100009b77 (rwx) level 1 at 200003048",
    ]);
    assert.equal(g.vm.core.state.tdpMmu?.linkedPages, 3);
    assert.equal(g.vm.stats.pages_4k, 1);
    assert.equal(g.vm.usedPages, 0);
    assert.equal(g.spte(sp(3, 9)), 0x8600000100009b77n);
    assert.equal(g.touch(0x9000, "read"), "ok");
    assert.equal(g.vcpu.mmu.stats.pf_taken, 1);
  });

  it("G17 maps the same under NPT", () => {
    const g = new TdpGuest({ paging: "npt" });
    g.touch(0x9000, "write");
    assert.equal(g.spte(sp(0)), 0x200001827n);
    assert.equal(g.spte(sp(2)), 0x200003827n);
    assert.equal(g.spte(sp(3, 9)), 0x100009e67n);
    assert.equal(g.spte(sp(3, 8)), NP);
  });

  it("G17 maps a huge host page with one leaf", () => {
    const g = new TdpGuest({ backing: { kind: "anonymous", writable: true, thp: true } });
    g.touch(0x9000, "write");
    assert.equal(g.leafAt(0x9000), 0x8600000100000bf7n);
    assert.equal(g.vm.stats.pages_2m, 1);
    assert.equal(g.vm.core.state.tdpMmu?.linkedPages, 2);
  });

  it("G17 F-098 marks what has no memory, and knows it again by the misconfiguration", () => {
    const g = new TdpGuest();
    assert.equal(g.touch(0xd0000000, "read"), "emulate");
    assert.equal(g.leafAt(0xd0000000), 0x00000000d0000016n);
    assert.equal(g.vcpu.mmu.stats.pf_mmio_spte_created, 1);
    g.vcpu.mmu.mmioCache = undefined;
    g.log.length = 0;
    assert.equal(g.touch(0xd0000000, "read"), "emulate");
    assert.deepEqual(g.events(), [
      "check_mmio_spte: spte d0000016 kvm_gen 2 spte-gen 2 valid 1",
      "handle_mmio_page_fault: addr:d0000000 gfn d0000 access 0",
    ]);
  });

  it("flushes nothing for an entry that was empty, or a leaf that gains access", () => {
    const g = new TdpGuest();
    assert.equal(g.touch(0x9000, "read"), "ok");
    assert.equal(g.touch(0x200000, "write"), "ok");
    g.vm.core.state.hostProcess.notifiers.clearYoung({
      start: g.vm.slots[0]!.hvaOf(gfn(9)),
      end: g.vm.slots[0]!.hvaOf(gfn(10)),
    });
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.equal(g.vm.stats.remote_tlb_flush, 0);
    const huge = new TdpGuest({ backing: { kind: "anonymous", writable: true, thp: true } });
    assert.equal(huge.touch(0x203000, "write"), "ok");
    assert.deepEqual([huge.vm.stats.pages_2m, huge.vm.stats.remote_tlb_flush], [1, 0]);
  });

  it("F-081 the leaves of a slot are counted by size", () => {
    const g = new TdpGuest({ backing: { kind: "anonymous", writable: true, thp: true } });
    assert.equal(g.setSlot(1, 0x8000, 0x10, GUEST_HVA + 0x401000), "create");
    for (const at of [0x203000, 0x8000000, 0x8001000]) g.touch(at, "read");
    const counts = g.vm.slots.map((slot) => g.vm.countsOf(slot).byLevel);
    assert.deepEqual(counts, [
      [0, 1, 0],
      [2, 0, 0],
    ]);
  });

  it("F-081 a frame that four levels do not reach has no leaf", () => {
    const g = new TdpGuest({ hostPhysicalBits: 52 });
    g.touch(0x9000, "write");
    assert.equal(g.vm.leavesOf(gfn(9)).length, 1);
    assert.equal(g.setSlot(1, 2 ** 36, 0x10, GUEST_HVA), "create");
    assert.deepEqual(g.vm.leavesOf(gfn(2 ** 36 + 9)), []);
  });
});
