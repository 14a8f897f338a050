import assert from "node:assert/strict";
import { performHostAction } from "../../src/host";
import { gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import { Guest } from "../kvm/guest";
import { sp } from "../kvm/tables";

/** G8's guest, a 2M gpte for gva 0x200000 … 0x3fffff, on a host with transparent huge pages. */
const largeGuest = (thp: boolean): Guest =>
  new Guest({ ...checked, backing: { kind: "anonymous", writable: true, thp } })
    .entry(0x1000, 0x2007)
    .entry(0x2000, 0x3007)
    .entry(0x3008, 0x2000e7)
    .enter();
const hvaOf = (g: Guest, frame: number) => g.vm.slots[0]!.hvaOf(gfn(frame));

describe("golden trace G9: a 2M guest page on a 2M host page", () => {
  it("G9 F-134 F-135 F-136 F-137 is mapped by one large leaf", () => {
    const g = largeGuest(true);
    g.log.length = 0;
    assert.equal(g.write(3, 0x203000, 1).kind, "ok");
    assert.deepEqual(g.events(["kvm_mmu_spte_requested"]), [
      "kvm_mmu_spte_requested: gfn 203 pfn 100203 level 2",
    ]);
    assert.equal(g.spte(sp(2, 1)), 0x100200ee7n);
    assert.equal(g.vm.stats.pages_2m, 1);
    assert.equal(g.vm.pagesOf(gfn(0x200)).length, 0, "no direct page");
  });

  it("F-134 the same on 4K host pages takes a direct page", () => {
    const g = largeGuest(false);
    g.write(3, 0x203000, 1);
    assert.equal(g.vm.stats.pages_2m, 0);
    assert.equal(g.vm.pagesOf(gfn(0x200)).length, 1);
  });

  it("F-007 splitting the host page takes the large leaf away, collapsing brings it back", () => {
    const g = largeGuest(true);
    g.write(3, 0x203000, 5);
    performHostAction(g.process, g.trace, "split", hvaOf(g, 0x3ff));
    assert.equal(g.vm.stats.pages_2m, 0);
    assert.deepEqual(g.read(3, 0x203000), { kind: "ok", value: 5n, emulated: false });
    assert.equal(g.vm.stats.pages_2m, 0);
    performHostAction(g.process, g.trace, "collapse", hvaOf(g, 0x3ff));
    assert.deepEqual(g.read(3, 0x203000), { kind: "ok", value: 5n, emulated: false });
    assert.equal(g.vm.stats.pages_2m, 1);
    performHostAction(g.process, g.trace, "migrate", hvaOf(g, 0x280));
    assert.equal(g.vm.stats.pages_2m, 0);
    assert.deepEqual(g.read(3, 0x203000), { kind: "ok", value: 5n, emulated: false });
    assert.equal(g.vm.stats.pages_2m, 1);
  });
});
