import assert from "node:assert/strict";
import { PAGE_SIZE } from "../../../src/x86";
import { TdpGuest } from "./tdp-guest";

const range = (g: TdpGuest, first: number, pages: number) => {
  const start = g.vm.slots[0]!.hvaOf(first as never);
  return { start, end: (start + pages * PAGE_SIZE) as typeof start };
};

describe("ageing in the TDP MMU", () => {
  it("G14 clears A and says whether it was there, without a flush", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    const { notifiers } = g.process;
    g.log.length = 0;
    assert.equal(notifiers.testYoung(range(g, 9, 1)), true);
    assert.equal(notifiers.clearYoung(range(g, 0, 0x100)), true);
    assert.equal(g.leafAt(0x9000), 0x8600000100009a77n);
    assert.deepEqual(g.events(["kvm_tdp_mmu_spte_changed", "tlb_flush"]), [
      "kvm_tdp_mmu_spte_changed: as id 0 gfn 9 level 1 old_spte 8600000100009b77 new_spte 8600000100009a77",
    ]);
    assert.equal(notifiers.testYoung(range(g, 9, 1)), false);
    assert.equal(notifiers.clearYoung(range(g, 9, 1)), false);
    g.tlbs.get(g.first)!.clear();
    assert.equal(g.touch(0x9000, "read"), "ok");
    assert.equal(g.vcpu.mmu.stats.pf_taken, 1);
    assert.equal(notifiers.testYoung(range(g, 9, 1)), true);
  });

  it("F-062 without A bits takes the rights away, and the fast path gives them back", () => {
    const g = new TdpGuest({ knobs: { eptad: false } });
    g.touch(0x9000, "write");
    assert.equal(g.leafAt(0x9000), 0x8610000100009b77n);
    const { notifiers } = g.process;
    assert.equal(notifiers.clearYoung(range(g, 9, 1)), true);
    assert.equal(g.leafAt(0x9000) & 7n, 0n);
    g.verify("ageing");
    assert.equal(notifiers.testYoung(range(g, 9, 1)), false);
    g.tlbs.get(g.first)!.clear();
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.deepEqual([g.vcpu.mmu.stats.pf_fast, g.leafAt(0x9000) & 7n], [1, 7n]);
    assert.equal(notifiers.testYoung(range(g, 9, 1)), true);
  });

  it("F-062 F-153 without A bits W goes as well, and that the page was written is told to the host", () => {
    const g = new TdpGuest({ knobs: { eptad: false } });
    g.touch(0x9000, "read");
    g.touch(0x9000, "write");
    assert.equal(g.vcpu.mmu.stats.pf_taken, 1, "nobody but the leaf knows of the write");
    const { start, end } = range(g, 9, 1);
    assert.equal(g.process.page(start)?.dirty, false);
    assert.equal(g.process.notifiers.clearYoung({ start, end }), true);
    assert.equal(g.process.page(start)?.dirty, true);
  });

  it("only the frames of the range are looked at", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    assert.equal(g.process.notifiers.testYoung(range(g, 10, 0x100)), false);
    assert.equal(g.process.notifiers.testYoung(range(g, 0, 9)), false);
  });
});
