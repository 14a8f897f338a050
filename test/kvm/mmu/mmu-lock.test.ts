import assert from "node:assert/strict";
import { performHostAction } from "../../../src/host";
import { CACHE_CAPACITY, CACHE_MINIMUM, MemoryCaches } from "../../../src/kvm/mmu/memory-caches";
import { MmuLock } from "../../../src/kvm/mmu/mmu-lock";
import { gfn } from "../../../src/x86";
import { checked } from "../checked";
import { Guest } from "../guest";
import { firstGuest, touchedGuest } from "../tables";

const ready = (): MemoryCaches => {
  const caches = new MemoryCaches();
  caches.topUp();
  return caches;
};

describe("mmu_lock", () => {
  it("F-156 nobody sleeps who holds it", () => {
    const lock = new MmuLock();
    lock.assertMaySleep();
    lock.take(ready());
    assert.throws(() => lock.assertMaySleep(), /sleep under mmu_lock/);
    lock.letOthersRun(() => lock.assertMaySleep());
    assert.throws(() => lock.assertMaySleep());
    lock.give();
    lock.assertMaySleep();
  });

  it("F-011 INV-V-03 is not taken before the caches are filled", () => {
    assert.throws(() => new MmuLock().take(new MemoryCaches()), /INV-V-03/);
  });

  it("F-011 what is needed under it comes from the caches, and running dry is noticed", () => {
    const caches = ready();
    const lock = new MmuLock();
    lock.use("shadowPage");
    assert.equal(caches.counts.shadowPage, CACHE_CAPACITY, "free allocation outside");
    lock.take(caches);
    for (let i = 0; i < CACHE_CAPACITY; i++) lock.use("shadowPage");
    assert.throws(() => lock.use("shadowPage"), /ran dry/);
  });

  it("F-011 a fault takes its pages from the caches, which are filled again when low", () => {
    const g = firstGuest(checked).enter();
    const { counts } = g.vcpu.mmu.caches;
    assert.deepEqual([counts.header, counts.shadowPage, counts.shadowedInfo], [39, 39, 40]);
    g.read(3, 0x5000);
    assert.deepEqual([counts.header, counts.shadowPage, counts.shadowedInfo], [36, 36, 37]);
    counts.header = CACHE_MINIMUM.header - 1;
    g.write(3, 0x5000, 1);
    assert.equal(counts.header, CACHE_CAPACITY);
  });

  it("F-011 the second entry of an rmap chain takes a descriptor", () => {
    const g = touchedGuest(checked).entry(0x4040, 0x9067);
    const { counts } = g.vcpu.mmu.caches;
    const before = counts.pteListDesc;
    g.read(3, 0x8000);
    assert.equal(counts.pteListDesc, before - 1);
  });

  it("F-011 so does the second parent of a page", () => {
    const g = touchedGuest(checked).entry(0x3008, 0x4007);
    const { counts } = g.vcpu.mmu.caches;
    const before = counts.pteListDesc;
    g.read(3, 0x205000);
    assert.equal(g.vm.pagesOf(gfn(4)).length, 1);
    assert.equal(counts.pteListDesc, before - 1);
  });

  it("F-156 a table that was swapped out is not waited for by a sync: its page goes", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x4067);
    g.write(0, 0x6028, 0xb067);
    performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(4)));
    g.movCr3(0x1000);
    assert.deepEqual(g.vm.pagesOf(gfn(4)), []);
    assert.equal(g.process.page(g.vm.slots[0]!.hvaOf(gfn(4)))?.swapped, true);
    assert.equal(g.read(3, 0x5000).kind, "ok");
  });

  it("F-156 nor by a fault whose table goes before the lock is taken: it is tried again", () => {
    const g = firstGuest(checked).enter();
    const { lock } = g.vm.core.state;
    const held: boolean[] = [];
    for (const name of ["host_fault_in", "host_swap_in"])
      g.trace.on(name, () => held.push(lock.held));
    let once = true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "P2" || !once) return;
      once = false;
      performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(4)));
    });
    assert.equal(g.read(3, 0x5000).kind, "ok");
    assert.equal(g.vcpu.mmu.stats.pf_retry, 1);
    assert.deepEqual([...new Set(held)], [false]);
  });

  it("F-187 PDPTRs are loaded before a root is built, which waits for no page", () => {
    const g = new Guest(checked).entry(0x1000, 0x2001).entry(0x2000, 0x3067).entry(0x3028, 0x9067);
    g.start("PAE", 0x1000);
    performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(1)));
    g.setSlot(1, 0x100000, 1, 0x7f0000000000);
    g.setSlot(1, 0x100000, 0, 0x7f0000000000);
    g.enter();
    assert.equal(g.vcpu.mmu.root.kind, "pae");
    assert.equal(g.process.page(g.vm.slots[0]!.hvaOf(gfn(1)))?.swapped, true);
  });
});
