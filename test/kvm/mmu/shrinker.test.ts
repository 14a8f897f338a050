import assert from "node:assert/strict";
import { invalidateAll } from "../../../src/kvm/mmu/zap";
import { MODERN, OF_2010 } from "../../../src/kvm/profile";
import { gfn } from "../../../src/x86";
import { checked } from "../checked";
import { Guest, type GuestOptions } from "../guest";

/** Ten tables' worth of shadow pages, each with one page that the guest has written. */
function busy(options: GuestOptions): Guest {
  const g = new Guest(options).entry(0x1000, 0x2067).entry(0x2000, 0x3067);
  for (let i = 0; i < 10; i++)
    g.entry(0x3000 + 8 * i, 0x10067 + i * 0x1000).entry(0x10000 + i * 0x1000, 0x40067 + i * 0x1000);
  g.enter();
  for (let i = 0; i < 10; i++) assert.equal(g.write(3, i * 0x200000, i).kind, "ok");
  return g;
}
const readsBack = (g: Guest): void => {
  for (let i = 0; i < 10; i++)
    assert.deepEqual(g.read(3, i * 0x200000), { kind: "ok", value: BigInt(i), emulated: false });
};

describe("the shrinker", () => {
  it("F-044 the host has shadow pages back, oldest first, and the guest goes on", () => {
    const g = busy(checked);
    assert.equal(g.vm.usedPages, 13);
    assert.equal(g.process.shrinkers.count(), 12, "the root in use is not to be had");
    assert.equal(g.process.shrinkers.shrink(3), 3);
    assert.equal(g.vm.usedPages, 10);
    assert.equal(g.vm.pagesOf(gfn(0x10)).length, 0, "the upper two and the first table went");
    assert.equal(g.vm.pagesOf(gfn(0x11)).length, 1);
    assert.deepEqual(g.vm.check(g.vcpu), []);
    readsBack(g);
    assert.ok(g.vm.stats.mmu_recycled >= 3);
  });

  it("F-010 only roots are pinned: all else can be shrunk away", () => {
    const g = busy(checked);
    const { pinned } = g.process.memoryReport();
    g.process.shrinkers.shrink(1000);
    assert.equal(g.vm.usedPages, 1);
    assert.equal(g.process.memoryReport().pinned, pinned);
    assert.equal(g.process.shrinkers.shrink(1000), 0, "nobody has any");
    readsBack(g);
  });

  it("F-044 in the era of 2010 one call takes one page", () => {
    const g = busy({ ...checked, profile: OF_2010 });
    assert.equal(g.process.shrinkers.shrink(100), 1);
    readsBack(g);
  });

  it("F-055 obsolete pages go ten at a time, each batch with a flush of its own", () => {
    const g = busy({});
    const flushes = (): number => g.log.filter(({ name }) => name === "tlb_flush").length;
    g.log.length = 0;
    // Thirteen pages, the root pinned until the vCPU lets go of it.
    invalidateAll(g.vm.core.state);
    assert.equal(flushes(), 2);
    g.log.length = 0;
    const few = busy({});
    few.process.shrinkers.shrink(6);
    few.log.length = 0;
    invalidateAll(few.vm.core.state);
    assert.equal(few.log.filter(({ name }) => name === "tlb_flush").length, 1);
  });

  it("F-044 two VMs of one process are asked in turn", () => {
    const g = busy({ ...checked, profile: MODERN });
    const other = busy({});
    const asked: string[] = [];
    for (const name of ["a", "b"])
      other.process.shrinkers.register({ count: () => 1, scan: () => asked.push(name) });
    for (let i = 0; i < 5; i++) other.process.shrinkers.shrink(1);
    assert.deepEqual(asked, ["a", "b", "a"]);
    readsBack(g);
  });

  it("F-044 F-007 a guest that has more memory than the host runs on, with every byte", () => {
    const g = new Guest({ ...checked, mmuPages: 0x100 })
      .entry(0x1000, 0x2067)
      .entry(0x2000, 0x3067);
    for (let i = 0; i < 4; i++) g.entry(0x3000 + 8 * i, 0x4067 + i * 0x1000);
    const pages = 400;
    const vaOf = (i: number): number => (i % 4) * 0x200000 + Math.floor(i / 4) * 0x1000;
    for (let i = 0; i < pages; i++)
      g.entry(0x4000 + (i % 4) * 0x1000 + 8 * Math.floor(i / 4), 0x100067 + i * 0x1000);
    g.enter();
    g.process.limit = 150;
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < pages; i++) {
        const va = vaOf((i * 7) % pages);
        const found = g.first.access(3, BigInt(va), 0, 0n);
        assert.equal(found.kind === "ok" && found.value, round === 0 ? 0n : BigInt(va));
        assert.equal(g.first.access(3, BigInt(va), 2, BigInt(va)).kind, "ok");
        const { used } = g.process.memoryReport();
        assert.ok(used <= 155, `${used} frames are used`);
      }
    assert.deepEqual(g.vm.check(g.vcpu), []);
    assert.deepEqual(g.process.check(), []);
    assert.ok(g.log.some((event) => event.name === "host_swap_in"));
  });
});
