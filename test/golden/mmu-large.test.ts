import assert from "node:assert/strict";
import { performHostAction } from "../../src/host";
import { gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import { Guest, type GuestOptions } from "../kvm/guest";
import { sp } from "../kvm/tables";

/** G8's guest, a 2M gpte for gva 0x200000 … 0x3fffff, on a host with transparent huge pages. */
const largeGuest = (thp: boolean, options: GuestOptions = checked): Guest =>
  new Guest({ ...options, backing: { kind: "anonymous", writable: true, thp } })
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

describe("golden trace G10: a 2M guest page on a 2M host page, with a guest table inside", () => {
  /** gva 0x400000 by way of the table at gpa 0x204000, a page of the large one. */
  const withTable = (g: Guest): Guest => g.entry(0x3010, 0x204007).entry(0x204000, 0x9067);
  const lp2 = (g: Guest) => g.vm.slots[0]!.arch.lpage[0][1];

  it("G10 F-136 F-138 (a) the table was shadowed before: a direct page, for reads as well", () => {
    const g = withTable(largeGuest(true));
    g.read(3, 0x400000);
    assert.equal(lp2(g), 1);
    g.log.length = 0;
    g.read(3, 0x203000);
    assert.deepEqual(g.events(["kvm_mmu_spte_requested"]), [
      "kvm_mmu_spte_requested: gfn 203 pfn 100203 level 1",
    ]);
    assert.equal(g.vm.stats.pages_2m, 0);
    const direct = g.vm.pagesOf(gfn(0x200))[0]!;
    assert.equal(direct.role, 0x3781);
    assert.equal(g.spte(sp(2, 1)), BigInt(direct.spt) | 0x827n);
    // The table's own page, reached as data, goes unsync with the first write to it.
    g.write(3, 0x204008, 0xa067);
    assert.equal(g.vm.stats.mmu_unsync, 1);
  });

  it("G10 F-136 F-138 INV-L-03 (b) the table comes later: the large leaf loses W, and splits at a write", () => {
    const g = withTable(largeGuest(true));
    g.write(3, 0x203000, 1);
    assert.equal(g.spte(sp(2, 1)), 0x100200ee7n);
    const flushes = g.vm.stats.remote_tlb_flush;
    g.read(3, 0x400000);
    assert.equal(lp2(g), 1);
    assert.equal(g.spte(sp(2, 1)), 0x100200ae5n);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes + 1);
    assert.equal(g.read(3, 0x205000).kind, "ok");
    g.log.length = 0;
    g.write(3, 0x203000, 2);
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 7);
    const direct = g.vm.pagesOf(gfn(0x200)).find((page) => page.direct)!;
    assert.equal(g.spte(sp(2, 1)), BigInt(direct.spt) | 0x827n);
    assert.equal(g.spte(direct.spt + 8 * 3), 0x100203e67n);
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k > 0], [0, true]);
  });

  it("G10 F-138 the count falls when the table is no longer shadowed, and a later fault is large", () => {
    const g = withTable(largeGuest(true));
    g.read(3, 0x400000);
    g.read(3, 0x203000);
    g.entry(0x3010, 0);
    // Zaps everything; what comes back does not need the table.
    g.vm.setNxHugePages(true);
    assert.equal(lp2(g), 0);
    g.enter();
    g.write(3, 0x203000, 3);
    assert.equal(g.vm.stats.pages_2m, 1);
  });
});
