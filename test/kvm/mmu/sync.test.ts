import assert from "node:assert/strict";
import { GUEST_HVA, performHostAction } from "../../../src/host";
import { OF_2012 } from "../../../src/kvm/profile";
import { ALLOW, gfn, hva } from "../../../src/x86";
import { checked } from "../checked";
import type { Guest } from "../guest";
import { NP, sp, touchedGuest } from "../tables";

/** G1 with its page table mapped at gva 0x6000 and unsync. */
const unsynced = (options = checked): Guest => {
  const g = touchedGuest(options).entry(0x4030, 0x4067);
  g.write(0, 0x6ff8, 0);
  g.log.length = 0;
  return g;
};

describe("sync", () => {
  it("F-093 a second root that links an unsync page gets it fresh; it stays unsync", () => {
    const g = unsynced();
    g.write(0, 0x6028, 0xb067);
    g.entry(0xa000, 0x2027);
    const other = g.addVcpu();
    other.cpu.cr3 = 0xa000n;
    other.vcpu.enter();
    assert.deepEqual(other.access(3, 0x5000n, 0, 0n).kind, "ok");
    const table = g.vm.pagesOf(gfn(4))[0]!;
    assert.equal(g.vm.rmapOf(gfn(9), 1), 0);
    assert.equal(g.spte(sp(3, 5)) >> 12n, 0x10000bn);
    assert.deepEqual(g.vm.check(), []);
    assert.equal(table.parentPtes !== 0, true);
  });

  it("F-093 an unsync table that is linked a second time shows what it holds now", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x4067).entry(0x4040, 0xc067);
    g.read(3, 0x8000);
    g.write(0, 0x6028, 0xb067);
    g.entry(0x3008, 0x4067);
    g.read(3, 0x208000);
    g.write(3, 0x205000, 0x77);
    assert.equal(g.entryAt(0xb000), 0x77n);
    assert.equal(g.vm.pagesOf(gfn(4))[0]?.unsync, true);
  });

  it("F-093 an upper table that is linked a second time has its children synced first", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x4067).entry(0x4040, 0xc067);
    g.read(3, 0x8000);
    g.write(0, 0x6028, 0xb067);
    const other = g.addVcpu();
    g.entry(0xa000, 0x2027);
    other.cpu.cr3 = 0xa000n;
    other.vcpu.enter();
    other.access(3, 0x8000n, 0, 0n);
    assert.equal(g.vm.stats.mmu_unsync, 0);
    other.access(3, 0x5000n, 2, 0x77n);
    assert.equal(g.entryAt(0xb000), 0x77n);
  });

  it("F-090 INV-U-01 more unsync tables of one directory than fit a batch are all synced", () => {
    const g = touchedGuest(checked).entry(0x3100, 0x60067);
    const tables = Array.from({ length: 20 }, (_, i) => 0x40000 + i * 0x1000);
    for (const [i, table] of tables.entries()) {
      g.entry(0x3000 + 8 * (i + 1), table + 0x67).entry(table, 0x9067);
      g.entry(0x60000 + 8 * i, table + 0x67).read(3, 0x200000 * (i + 1));
    }
    for (const i of tables.keys()) g.write(3, 0x4000000 + 0x1000 * i, 0xb067);
    assert.equal(g.vm.stats.mmu_unsync, 20);
    g.movCr3(0x1000);
    assert.equal(g.vm.stats.mmu_unsync, 0);
    for (const i of tables.keys()) g.write(3, 0x200000 * (i + 1) + 8 * i, i + 1);
    assert.equal(g.entryAt(0xb000 + 8 * 19), 20n);
  });

  it("an unsync table goes with the directory above it", () => {
    const g = unsynced();
    assert.equal(g.vm.stats.mmu_unsync, 1);
    g.emulatedStore(0x3004, 0);
    assert.deepEqual(g.vm.pagesOf(gfn(4)), []);
    assert.equal(g.vm.stats.mmu_unsync, 0);
  });

  it("F-090 F-105 an mmio mark goes with the gpte it was made for", () => {
    const g = unsynced();
    g.entry(0x4040, 0xd0000067);
    assert.equal(g.read(3, 0x8000).kind, "device");
    assert.notEqual(g.spte(sp(3, 8)), NP);
    g.write(0, 0x6040, 0);
    g.movCr3(0x1000);
    assert.equal(g.spte(sp(3, 8)), NP);
    assert.deepEqual(g.read(3, 0x8000), { kind: "fault", error: 4, cr2: 0x8000n });
  });

  it("the use that an spte has seen is told to the host when its new value has no A, as in 2012", () => {
    const g = unsynced({ ...checked, profile: OF_2012 }).entry(0x4040, 0xc025);
    const at = hva(GUEST_HVA + 0xc000);
    g.read(3, 0x8000);
    performHostAction(g.process, g.trace, "age", at);
    g.cpu.flushTlb();
    g.read(3, 0x8000);
    assert.equal(g.process.page(at)?.accessed, false);
    g.write(0, 0x6040, 0xc021);
    g.movCr3(0x1000);
    assert.equal(g.spte(sp(3, 8)) & 0x21n, 1n);
    assert.equal(g.process.page(at)?.accessed, true);
  });

  it("F-090 a table that is in sync leaves no mark on those above it", () => {
    const g = touchedGuest(checked).entry(0x3008, 0x4067);
    g.read(3, 0x205000);
    const marks = [1, 2, 3].map((n) => g.vm.pagesOf(gfn(n))[0]?.unsyncChildren);
    assert.deepEqual(marks, [0, 0, 0]);
  });

  it("F-090 INV-U-02 a table that had two parents is found again through the one that is left", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x4067);
    g.entry(0x2008, 0x6067).entry(0x6000, 0x4067);
    g.read(3, 0x40005000);
    g.write(0, 0x6ff8, 0);
    g.movCr3(0x1000);
    g.emulatedStore(0x3000, 0);
    g.write(0, 0x40006028, 0xb067);
    g.movCr3(0x1000);
    assert.equal(g.vm.stats.mmu_unsync, 0);
    g.write(3, 0x40005000, 7);
    assert.equal(g.entryAt(0xb000), 7n);
  });

  it("F-117 a root that is loaded is in sync, also when another vCPU has it already", () => {
    const g = unsynced();
    g.write(0, 0x6028, 0xb067);
    assert.equal(g.vm.stats.mmu_unsync, 1);
    g.addVcpu().vcpu.enter();
    assert.equal(g.vm.stats.mmu_unsync, 0);
    assert.equal(g.spte(sp(3, 5)), NP);
  });

  it("F-093 F-117 in 2012 an upper table that is linked a second time is synced at the next entry", () => {
    const g = touchedGuest({ ...checked, profile: OF_2012 }).entry(0x4030, 0x4067);
    g.entry(0x4040, 0xc067).read(3, 0x8000);
    const other = g.addVcpu();
    g.entry(0xa000, 0x2027);
    other.cpu.cr3 = 0xa000n;
    other.vcpu.enter();
    g.write(0, 0x6028, 0xb067);
    other.access(3, 0x8000n, 0, 0n);
    other.vcpu.enter();
    assert.equal(g.vm.stats.mmu_unsync, 0);
  });

  it("INV-T-03 a leaf that loses W by a sync is flushed from every TLB", () => {
    const g = unsynced();
    const other = g.addVcpu();
    other.vcpu.enter();
    other.access(3, 0x5000n, 2, 5n);
    const cached = () => [...other.cpu.tlb.values()].some((e) => e.allow & ALLOW.write);
    assert.ok(cached());
    g.write(0, 0x6028, 0x9065);
    assert.ok(cached(), "the guest has not flushed yet");
    g.movCr3(0x1000);
    assert.equal(g.spte(sp(3, 5)), 0x100009a25n);
    assert.ok(!cached());
  });

  it("a gpte whose A bit was cleared is dropped, so the next use sets it", () => {
    const g = unsynced();
    g.write(0, 0x6028, 0x9047);
    g.movCr3(0x1000);
    assert.equal(g.spte(sp(3, 5)), NP);
    g.read(3, 0x5000);
    assert.equal(g.entryAt(0x4028), 0x9067n);
  });

  it("F-145 a sync keeps the mark of what is mmio still, and drops one whose gfn has memory by now", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x4067).entry(0x4038, 0x2000067);
    g.read(3, 0x7000);
    g.write(0, 0x6ff8, 0);
    g.movCr3(0x1000);
    const mark = g.spte(sp(3, 7));
    assert.notEqual(mark, NP);
    g.write(0, 0x6ff0, 0);
    assert.equal(g.setSlot(1, 0x2000, 16, GUEST_HVA + 0x800000), "create");
    assert.equal(g.spte(sp(3, 7)), mark);
    g.movCr3(0x1000);
    assert.equal(g.spte(sp(3, 7)), NP);
    assert.equal(g.read(3, 0x7000).kind, "ok");
  });

  it("F-092 a frame that becomes an upper-level table loses its unsync page", () => {
    const g = unsynced();
    g.entry(0x2008, 0x4067).entry(0x4000, 0xb067).entry(0xb000, 0xc067);
    g.read(0, 0x40000000);
    assert.equal(g.vm.stats.mmu_unsync, 0);
    assert.deepEqual(
      g.vm.pagesOf(gfn(4)).map((page) => page.level),
      [2],
    );
  });

  it("F-069 a table that points at itself is shadowed once for each level", () => {
    const g = touchedGuest(checked).entry(0x1ff8, 0x1067);
    g.read(0, 0xfffffffffffff000n);
    assert.deepEqual(
      g.vm
        .pagesOf(gfn(1))
        .map((page) => page.level)
        .sort(),
      [1, 2, 3, 4],
    );
    assert.deepEqual(g.vm.check(), []);
  });

  it("F-091 a table recycled as data is written natively after the first fault", () => {
    const g = unsynced({});
    const { exits } = g.vcpu.mmu.stats;
    for (let i = 0; i < 512; i++) if (i !== 6) g.write(0, 0x6000 + 8 * i, i * 2);
    assert.equal(g.vcpu.mmu.stats.exits, exits);
    assert.deepEqual(g.vm.check(g.vcpu), []);
  });
});
