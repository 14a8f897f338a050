import assert from "node:assert/strict";
import { performHostAction } from "../../../src/host";
import { gfn, type Hva } from "../../../src/x86";
import { NP } from "../tables";
import { TdpGuest } from "./tdp-guest";

const HVA = 0x7f0000000000;
const DROP = ["spte_drop", "kvm_tdp_mmu_spte_changed", "tlb_flush"];
const hvaOf = (g: TdpGuest, frame: number): Hva => g.vm.slots[0]!.hvaOf(gfn(frame));

describe("zapping in the TDP MMU", () => {
  it("G14 F-043 F-119 a page the host takes away is unmapped and flushed, and mapped anew", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    g.touch(0xa000, "write");
    g.log.length = 0;
    performHostAction(g.process, g.trace, "swap-out", hvaOf(g, 9));
    assert.deepEqual(g.events(DROP), [
      "kvm_tdp_mmu_spte_changed: as id 0 gfn 9 level 1 old_spte 8600000100009b77 new_spte 8000000000000000",
      "spte_drop: sptep 200003048 old 8600000100009b77 level 1 gfn 9 sp 3 index 9 reason notifier",
      "tlb_flush: scope all why mmu notifier",
    ]);
    g.verify("swap-out");
    assert.deepEqual([g.leafAt(0x9000), g.vm.stats.pages_4k], [NP, 1]);
    assert.equal(g.touch(0x9000, "read"), "ok");
    assert.notEqual(g.leafAt(0x9000), 0x8600000100009b77n);
  });

  it("F-112 a lookup that a notifier overtook is made again", () => {
    const g = new TdpGuest();
    let once = true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "P2" || !once) return;
      once = false;
      performHostAction(g.process, g.trace, "swap-out", hvaOf(g, 9));
    });
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.equal(g.vcpu.mmu.stats.pf_taken, 2);
  });

  it("use that a leaf has seen is told to the host when it goes", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    g.process.markUsed(9 as never, false);
    performHostAction(g.process, g.trace, "migrate", hvaOf(g, 9));
    const page = g.process.page(hvaOf(g, 9));
    assert.deepEqual([page?.accessed, page?.dirty], [true, true]);
  });

  it("a root is emptied in passes, and others get the lock in between", () => {
    const g = new TdpGuest();
    g.setSlot(1, 0x8000, 0x10, HVA);
    for (let i = 0; i < 8; i++) g.touch(0x200000 * i, "write");
    const trees = g.vm.core.state.tdpMmu!;
    const left: number[] = [];
    const other = g.more();
    trees.needResched = () => true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "T2") return;
      left.push(g.vm.stats.pages_4k);
      // A vCPU that comes in meanwhile gets a root of its own to fill.
      if (left.length === 2) g.touch(0x5000, "write", other);
    });
    g.setSlot(1, 0x8000, 0, HVA);
    trees.needResched = () => false;
    assert.ok(left.length > 8, `the lock was dropped ${left.length} times`);
    assert.deepEqual(left.slice(0, 3), [7, 7, 8]);
    assert.equal(g.vm.stats.pages_4k, 1);
    g.vcpu.enter();
    g.verify("the root is empty");
    const { grace } = g.vm.core.state;
    assert.deepEqual([grace.occupied, grace.pending], [false, 0], "its pages are free");
    assert.equal(g.touch(0x5000, "read", other), "ok");
    assert.equal(other.vcpu.mmu.stats.pf_taken, 1);
  });

  it("what was unmapped is flushed before the lock is dropped on the way", () => {
    const g = new TdpGuest();
    for (const frame of [9, 10, 11, 12]) g.touch(frame * 4096, "write");
    const trees = g.vm.core.state.tdpMmu!;
    trees.needResched = () => true;
    const tlb = g.tlbs.get(g.first)!;
    const cached: number[] = [];
    g.trace.on("point", ({ fields }) => {
      if (fields.point === "T2") cached.push(tlb.size);
    });
    g.process.munmap(hvaOf(g, 9), 4 * 4096);
    assert.deepEqual(new Set(cached), new Set([0]));
    assert.deepEqual([tlb.size, g.vm.stats.pages_4k], [0, 0]);
  });

  it("a tree maps one address space: what lies behind the slots of another is not looked for in it", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    g.touch(0x100000, "write");
    g.setSlot(1 << 16, 0, 0x10, HVA + 0x100000);
    performHostAction(g.process, g.trace, "swap-out", hvaOf(g, 0x109));
    assert.notEqual(g.leafAt(0x9000), NP);
    performHostAction(g.process, g.trace, "swap-out", hvaOf(g, 0x100));
    assert.equal(g.leafAt(0x100000), NP);
    g.verify("both were swapped out");
  });

  it("tables stay where only their leaves go", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    const trees = g.vm.core.state.tdpMmu!;
    performHostAction(g.process, g.trace, "swap-out", hvaOf(g, 9));
    assert.deepEqual([g.vm.stats.pages_4k, trees.linkedPages], [0, 3]);
  });

  it("everything goes when the process exits", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    const [table] = g.vm.pagesOf(gfn(0)).filter(({ level }) => level === 1);
    assert.notEqual(table!.parentPtes, 0);
    g.process.notifiers.release();
    g.verify("release");
    assert.deepEqual([g.vm.stats.pages_4k, g.vm.core.state.tdpMmu!.linkedPages], [0, 0]);
    assert.deepEqual([table!.parentPtes, g.tlbs.get(g.first)!.size], [0, 0]);
  });
});
