import assert from "node:assert/strict";
import { gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import { walkLines } from "../kvm/lines";
import { firstGuest, NP, sp, touchedGuest } from "../kvm/tables";

describe("golden trace G1: first touch, 4-level", () => {
  it("F-018 F-032 F-095 F-104 step 0: the root", () => {
    const g = firstGuest(checked).enter();
    assert.deepEqual(g.events(), [
      "kvm_mmu_get_page: sp gen 0 gfn 1 l4 8-byte q0 wux nxe ad root 0 sync new",
    ]);
    const [root] = g.vm.pagesOf(gfn(1));
    assert.equal(root?.role, 0x3704);
    assert.equal(root?.rootCount, 1);
    const { arch } = g.vm.slots[0]!;
    assert.deepEqual([arch.writeTrack[1], arch.lpage[0][0], arch.lpage[1][0]], [1, 1, 2]);
  });

  it("F-046 F-101 F-113 step 1: a user read builds the shadow of the walk, read-only as gpte.D is clear", () => {
    const g = firstGuest(checked).enter();
    g.events();
    assert.equal(g.read(3, 0x5000).kind, "ok");
    assert.deepEqual(g.events(), [
      ...walkLines("addr 5000 pferr 4 U", 0x2007, 0x3007, 0x4007, 0x9007),
      "kvm_mmu_set_accessed_bit: gpa 1000",
      "kvm_mmu_set_accessed_bit: gpa 2000",
      "kvm_mmu_set_accessed_bit: gpa 3000",
      "kvm_mmu_set_accessed_bit: gpa 4028",
      "kvm_mmu_get_page: sp gen 0 gfn 2 l3 8-byte q0 wux nxe ad root 0 sync new",
      "kvm_mmu_get_page: sp gen 0 gfn 3 l2 8-byte q0 wux nxe ad root 0 sync new",
      "kvm_mmu_get_page: sp gen 0 gfn 4 l1 8-byte q0 wux nxe ad root 0 sync new",
      "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
      "kvm_mmu_set_spte: gfn 9 spte 100009a25 (r-xu) level 1 at 200003028",
    ]);
    assert.deepEqual(
      [sp(0), sp(1), sp(2), sp(3, 5), sp(3, 4)].map((at) => g.spte(at)),
      [0x200001827n, 0x200002827n, 0x200003827n, 0x100009a25n, NP],
    );
    assert.deepEqual(
      [0x1000, 0x2000, 0x3000, 0x4028].map((at) => g.entryAt(at)),
      [0x2027n, 0x3027n, 0x4027n, 0x9027n],
    );
    const { arch } = g.vm.slots[0]!;
    assert.deepEqual([...arch.writeTrack.subarray(1, 5)], [1, 1, 1, 0]);
    assert.deepEqual([arch.lpage[0][0], arch.lpage[1][0]], [4, 5]);
    const leaf = g.vm.rmapOf(gfn(9), 1);
    assert.equal(leaf, g.vm.pagesOf(gfn(4))[0]!.base + 5);
    assert.equal(g.vm.pagesOf(gfn(2))[0]!.parentPtes, g.vm.pagesOf(gfn(1))[0]!.base);
    const { stats } = g.vcpu.mmu;
    assert.deepEqual([stats.pf_taken, stats.pf_fixed], [1, 1]);
    assert.equal(g.vm.stats.mmu_cache_miss, 4);
    assert.equal(g.vm.usedPages, 4);
    assert.equal(g.vm.stats.pages_4k, 1);
    assert.equal(g.vm.indirectShadowPages, 4);
  });

  it("F-004 F-114 steps 2 and 3: a second read takes no exit, the first write sets D", () => {
    const g = firstGuest(checked).enter();
    g.read(3, 0x5000);
    g.events();
    g.read(3, 0x5000);
    assert.deepEqual(g.events(), []);
    assert.equal(g.write(3, 0x5000, 7).kind, "ok");
    assert.deepEqual(g.events(), [
      ...walkLines("addr 5000 pferr 7 P|W|U", 0x2027, 0x3027, 0x4027, 0x9027),
      "kvm_mmu_set_dirty_bit: gpa 4028",
      "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
      "kvm_mmu_set_spte: gfn 9 spte 100009e67 (rwxu) level 1 at 200003028",
    ]);
    assert.equal(g.entryAt(0x4028), 0x9067n);
    assert.equal(g.spte(sp(3, 5)), 0x100009e67n);
    assert.equal(g.vm.stats.remote_tlb_flush, 0);
    const { stats } = g.vcpu.mmu;
    assert.deepEqual([stats.pf_taken, stats.pf_fixed], [2, 2]);
  });

  it("F-094 F-102 step 4: what the guest did not map is the guest's fault", () => {
    const g = touchedGuest(checked);
    const before = g.vm.usedPages;
    assert.deepEqual(g.read(3, 0x7000), { kind: "fault", error: 4, cr2: 0x7000n });
    assert.deepEqual(g.events(), [
      ...walkLines("addr 7000 pferr 4 U", 0x2027, 0x3027, 0x4027, 0),
      "kvm_mmu_walker_error: pferr 4 U",
      "kvm_inj_exception: #PF (0x4)",
    ]);
    assert.equal(g.vm.usedPages, before);
    assert.equal(g.entryAt(0x1000), 0x2027n);
    assert.equal(g.vcpu.mmu.stats.pf_guest, 1);
  });
});

describe("golden trace G2: two roots share a table", () => {
  it("F-074 F-075 F-117 F-120 the second root links the first one's pages, and both stay cached", () => {
    const g = touchedGuest(checked);
    g.entry(0xa000, 0x2027).movCr3(0xa000);
    assert.deepEqual(g.events(), [
      "kvm_mmu_get_page: sp gen 0 gfn a l4 8-byte q0 wux nxe ad root 0 sync new",
    ]);
    const sp0 = g.vm.pagesOf(gfn(1))[0]!;
    const sp1 = g.vm.pagesOf(gfn(2))[0]!;
    const sp4 = g.vm.pagesOf(gfn(0xa))[0]!;
    assert.deepEqual([sp4.role, sp4.rootCount, sp0.rootCount], [0x3704, 1, 1]);
    assert.equal(g.vcpu.prevRoots[0], sp0);
    assert.equal(g.vm.slots[0]!.arch.writeTrack[0xa], 1);
    assert.equal(g.vm.stats.mmu_cache_miss, 5);

    g.read(3, 0x5000);
    // The trace of the reference has code 4 only; the kernel asks for the leaf as well, then finds
    // that it is there already and prints no kvm_mmu_set_spte.
    assert.deepEqual(g.events(), [
      ...walkLines("addr 5000 pferr 4 U", 0x2027, 0x3027, 0x4027, 0x9067),
      "kvm_mmu_get_page: sp gen 0 gfn 2 l3 8-byte q0 wux nxe ad root 0 sync existing",
      "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
    ]);
    assert.equal(g.spte(sp(4)), 0x200001827n);
    assert.deepEqual(sp1.parentPtes, [sp0.base, sp4.base]);
    assert.equal(g.spte(sp(3, 5)), 0x100009e67n);
    const { stats } = g.vcpu.mmu;
    assert.deepEqual([stats.pf_taken, stats.pf_spurious], [3, 1]);

    const made: unknown[] = [];
    g.trace.on("request_made", (event) => made.push(event.fields.request));
    g.movCr3(0x1000);
    assert.deepEqual(made, ["LOAD_MMU_PGD", "MMU_SYNC", "TLB_FLUSH_CURRENT"]);
    assert.deepEqual(g.events(), []);
    assert.equal(g.vcpu.hardwareRoot, sp0.spt);
    assert.equal(g.vcpu.prevRoots[0], sp4);
  });
});
