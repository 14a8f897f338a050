import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { type MmuKnobs, OF_2012 } from "../../../src/kvm";
import { gfn } from "../../../src/x86";
import { checked } from "../checked";
import { checkpoint } from "../checkpoint";
import { Guest } from "../guest";
import { HUGE, hugeGuest } from "../huge-guest";
import { sp } from "../tables";

const nxGuest = (knobs: Partial<MmuKnobs> = {}): Guest =>
  hugeGuest({ ...checked, knobs: { nxHugePages: true, ...knobs } });
const tracked = (g: Guest): number[] =>
  [...g.vm.core.state.possibleNxHugePages].map((page) => page.gfn);
const gauges = (g: Guest) => {
  const { pages_4k, pages_2m, nx_lpage_splits } = g.vm.stats;
  return { pages_4k, pages_2m, nx_lpage_splits };
};

describe("nx_huge_pages", () => {
  it("F-140 INV-S-12 a huge leaf is not executable; a fetch brings 4K leaves, which are tracked", () => {
    const g = nxGuest();
    g.write(3, 0x203000, 1);
    assert.equal(g.spte(HUGE), 0x8000000100200ee7n);
    g.log.length = 0;
    assert.equal(g.fetch(3, 0x208000).kind, "ok");
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 0x15);
    assert.deepEqual(g.events(["kvm_mmu_spte_requested", "kvm_mmu_get_page"]), [
      "kvm_mmu_spte_requested: gfn 208 pfn 100208 level 1",
      "kvm_mmu_get_page: sp gen 0 gfn 200 l1 8-byte q0 direct wux nxe ad root 0 sync new",
    ]);
    assert.equal(g.spte(HUGE), 0x200003827n);
    assert.equal(g.spte(sp(3, 8)), 0x100208e67n);
    const [child] = g.vm.pagesOf(gfn(0x200));
    assert.equal(child?.nxHugePageDisallowed, true);
    assert.deepEqual(tracked(g), [0x200]);
    assert.equal(g.vm.stats.nx_lpage_splits, 1);
    assert.deepEqual(g.read(3, 0x203000), { kind: "ok", value: 1n, emulated: false });
  });

  it("F-140 data accesses beside the code do not make the page huge again", () => {
    const g = nxGuest();
    g.fetch(3, 0x208000);
    g.log.length = 0;
    g.write(3, 0x310000, 7);
    // The level that was asked for is announced before it is lowered.
    assert.deepEqual(g.events(["kvm_mmu_spte_requested"]), [
      "kvm_mmu_spte_requested: gfn 310 pfn 100310 level 2",
    ]);
    assert.equal(g.spte(sp(3, 0x110)), 0x100310e67n);
    assert.equal(g.vm.stats.pages_2m, 0);
    assert.deepEqual(g.read(3, 0x310000), { kind: "ok", value: 7n, emulated: false });
  });

  it("F-140 recovery takes the 4K leaves away; without another fetch the page is huge again", () => {
    const g = nxGuest();
    g.fetch(3, 0x208000);
    assert.equal(g.vm.recoverNxHugePages(), 1);
    g.stepped("recovery");
    assert.deepEqual(gauges(g), { pages_4k: 0, pages_2m: 0, nx_lpage_splits: 0 });
    g.write(3, 0x203000, 1);
    assert.equal(g.spte(HUGE), 0x8000000100200ee7n);
    assert.equal(g.vm.recoverNxHugePages(), 0);
  });

  it("F-140 a turn recovers one page in `ratio`, the oldest first", () => {
    const turns = (ratio: number): number[][] => {
      const g = nxGuest({ nxHugePagesRecoveryRatio: ratio });
      for (let i = 1; i < 6; i++) {
        g.entry(0x3000 + 8 * i, 0x200000 * i + 0xe7);
        g.fetch(3, 0x200000 * i);
      }
      g.vm.recoverNxHugePages();
      const first = tracked(g);
      g.vm.recoverNxHugePages();
      return [first, tracked(g)];
    };
    assert.deepEqual(turns(2), [[0x800, 0xa00], [0xa00]]);
    assert.deepEqual(turns(60), [
      [0x400, 0x600, 0x800, 0xa00],
      [0x600, 0x800, 0xa00],
    ]);
    assert.deepEqual(turns(0), Array(2).fill([0x200, 0x400, 0x600, 0x800, 0xa00]));
  });

  it("F-140 leaves that are small for another reason are disallowed but not tracked", () => {
    const g = nxGuest();
    // A guest table among the pages of the huge one.
    g.entry(0x3010, 0x204007).entry(0x204000, 0x9067);
    g.read(3, 0x400000);
    g.fetch(3, 0x208000);
    const direct = g.vm.pagesOf(gfn(0x200)).find((page) => page.direct);
    assert.equal(direct?.nxHugePageDisallowed, true);
    assert.deepEqual(tracked(g), []);
    assert.equal(g.vm.stats.nx_lpage_splits, 0);
  });

  it("F-140 pages of a slot that logs are forgotten, not recovered", () => {
    const g = nxGuest();
    g.fetch(3, 0x208000);
    g.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
    assert.equal(g.vm.recoverNxHugePages(), 1);
    assert.equal(g.vm.stats.nx_lpage_splits, 0);
    const [child] = g.vm.pagesOf(gfn(0x200));
    assert.equal(child?.nxHugePageDisallowed, false);
    const { pf_taken } = g.vcpu.mmu.stats;
    g.fetch(3, 0x208000);
    assert.equal(g.vcpu.mmu.stats.pf_taken, pf_taken, "its leaves are still there");
    g.setSlot(0, 0, 0x1000, GUEST_HVA, 0);
    g.write(3, 0x203000, 1);
    assert.equal(g.vm.stats.pages_2m, 1);
  });

  it("F-140 switching the knob zaps what was mapped by the other rule", () => {
    const g = hugeGuest(checked);
    g.write(3, 0x203000, 1);
    g.fetch(3, 0x208000);
    assert.equal(g.spte(HUGE), 0x100200ee7n);
    g.log.length = 0;
    g.vm.setNxHugePages(true);
    assert.equal(g.events(["kvm_mmu_zap_all_fast"]).length, 1);
    g.vm.setNxHugePages(true);
    assert.equal(g.events(["kvm_mmu_zap_all_fast"]).length, 0);
    g.write(3, 0x203000, 1);
    assert.equal(g.vm.stats.pages_2m, 1);
    g.fetch(3, 0x208000);
    assert.deepEqual(tracked(g), [0x200]);
  });

  it("F-140 the parts of a split huge leaf may be executed", () => {
    const g = nxGuest({ eagerPageSplit: true });
    g.write(3, 0x203000, 1);
    g.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
    assert.equal(g.spte(sp(3, 8)), 0x100208e65n);
    const { pf_taken } = g.vcpu.mmu.stats;
    assert.equal(g.fetch(3, 0x208000).kind, "ok");
    assert.equal(g.vcpu.mmu.stats.pf_taken, pf_taken);
  });

  it("F-140 what is tracked goes with a saved state, in its order", () => {
    const g = nxGuest();
    for (const i of [3, 1, 2]) {
      g.entry(0x3000 + 8 * i, 0x200000 * i + 0xe7);
      g.fetch(3, 0x200000 * i);
    }
    const goBack = checkpoint(g);
    g.vm.recoverNxHugePages();
    goBack();
    assert.deepEqual(tracked(g), [0x600, 0x200, 0x400]);
    assert.equal(g.vm.recoverNxHugePages(), 1);
    assert.deepEqual(tracked(g), [0x200, 0x400]);
  });

  it("F-140 older kernels have no such knob", () => {
    const g = new Guest({ profile: OF_2012, knobs: { nxHugePages: true } });
    assert.equal(g.vm.core.state.knobs.nxHugePages, false);
  });
});
