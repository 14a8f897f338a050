import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { MANUAL_PROTECT } from "../../../src/kvm";
import { gfn } from "../../../src/x86";
import { checked } from "../checked";
import type { Guest, GuestOptions } from "../guest";
import { HUGE, hugeGuest } from "../huge-guest";
import { sp } from "../tables";

const NONLEAF = 0x827n;

/** … mapped writable by one huge leaf. */
function mappedGuest(options: GuestOptions = {}): Guest {
  const g = hugeGuest({ ...checked, ...options });
  g.write(3, 0x203000, 1);
  assert.equal(g.spte(HUGE), 0x100200ee7n);
  assert.equal(g.vm.stats.pages_2m, 1);
  g.log.length = 0;
  return g;
}
const setLog = (g: Guest, on: boolean): string => g.setSlot(0, 0, 0x1000, GUEST_HVA, on ? 1 : 0);
const dirty = (g: Guest): number[] => {
  const log = g.vm.getDirtyLog(0);
  assert.ok(log instanceof Uint32Array);
  const frames: number[] = [];
  for (let i = 0; i < 32 * log.length; i++) if ((log[i >> 5]! >>> (i & 31)) & 1) frames.push(i);
  return frames;
};
const splits = (g: Guest): string[] => g.events(["kvm_mmu_split_huge_page"]);

describe("huge pages of a slot that logs", () => {
  it("INV-L-04 a huge leaf loses W when logging starts, and the next write puts 4K leaves in its place", () => {
    const g = mappedGuest();
    setLog(g, true);
    assert.equal(g.spte(HUGE), 0x100200ee5n);
    assert.equal(g.read(3, 0x204000).kind, "ok");
    assert.equal(g.spte(HUGE), 0x100200ee5n);
    g.write(3, 0x205000, 1);
    assert.equal(g.spte(HUGE) & 0xfffn, NONLEAF);
    assert.deepEqual(dirty(g), [0x205]);
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [0, 1]);
  });

  it("eager splitting puts 512 leaves in its place at once, and nothing of it is lost", () => {
    const g = mappedGuest({ knobs: { eagerPageSplit: true } });
    setLog(g, true);
    assert.deepEqual(splits(g), [
      "kvm_mmu_split_huge_page: gfn 200 spte 100200ee7 level 2 errno -11",
      "kvm_mmu_split_huge_page: gfn 200 spte 100200ee7 level 2 errno 0",
    ]);
    assert.equal(g.spte(HUGE), 0x200003827n);
    assert.equal(g.spte(sp(3, 0)), 0x100200e65n);
    assert.equal(g.spte(sp(3, 511)), 0x1003ffe65n);
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [0, 512]);
    const [child] = g.vm.pagesOf(gfn(0x200));
    assert.deepEqual([child?.role, child?.direct], [0x3781, true]);
    const { pf_taken } = g.vcpu.mmu.stats;
    assert.deepEqual(g.read(3, 0x203000), { kind: "ok", value: 1n, emulated: false });
    assert.equal(g.vcpu.mmu.stats.pf_taken, pf_taken);
    g.write(3, 0x203008, 2);
    assert.deepEqual(dirty(g), [0x203]);
  });

  it("a split takes its page and its descriptors from what was put by", () => {
    const g = mappedGuest({ knobs: { eagerPageSplit: true } });
    const { splitCache } = g.vm.core.state;
    // Gfn 0x203 and 0x204 are mapped once already, so the leaves beside those need a descriptor.
    g.entry(0x3010, 0xa067).entry(0xa000, 0x203067).entry(0xa008, 0x204067);
    g.read(3, 0x400000);
    assert.equal(g.vm.stats.pages_4k, 2);
    setLog(g, true);
    assert.deepEqual(splitCache, { descriptors: 511, headers: 0, frame: undefined });
  });

  it("a huge leaf stays when there is no room for its parts", () => {
    const g = mappedGuest({ knobs: { eagerPageSplit: true } });
    g.vm.core.state.maxPages = g.vm.usedPages + 5;
    setLog(g, true);
    assert.deepEqual(splits(g), [
      "kvm_mmu_split_huge_page: gfn 200 spte 100200ee7 level 2 errno -28",
    ]);
    assert.equal(g.spte(HUGE), 0x100200ee5n);
  });

  it("initially all set: a huge leaf stays writable until a page in it is cleared", () => {
    for (const eagerPageSplit of [false, true]) {
      const g = mappedGuest({ knobs: { eagerPageSplit } });
      g.vm.setManualProtect(MANUAL_PROTECT.enable | MANUAL_PROTECT.initiallySet);
      setLog(g, true);
      assert.equal(g.spte(HUGE), 0x100200ee7n);
      const bitmap = new Uint32Array([1 << 4, 0]);
      g.vm.clearDirtyLog({ slot: 0, firstPage: 0x200, numPages: 64, bitmap });
      g.stepped("clear");
      // Kernels take MMU-writable as well here.
      assert.equal(g.spte(HUGE), eagerPageSplit ? 0x200003827n : 0x100200ae5n);
      if (eagerPageSplit) {
        assert.equal(g.spte(sp(3, 4)), 0x100204e65n);
        assert.equal(g.spte(sp(3, 5)), 0x100205e67n);
      }
      g.write(3, 0x204000, 1);
      assert.ok(dirty(g).includes(0x204));
    }
  });

  it("F-138 when logging stops, small leaves that could be huge go, and the next fault makes it so", () => {
    const g = mappedGuest({ knobs: { eagerPageSplit: true } });
    setLog(g, true);
    g.read(3, 0x203000);
    setLog(g, false);
    g.stepped("the end of logging");
    assert.equal(g.vm.stats.pages_4k, 0);
    assert.equal(g.spte(HUGE), 0x200003827n);
    g.write(3, 0x203000, 9);
    assert.equal(g.spte(HUGE), 0x100200ee7n);
    assert.deepEqual(g.read(3, 0x203000), { kind: "ok", value: 9n, emulated: false });
  });

  it("leaves of guest tables stay when logging stops, and those in frames that may not be huge", () => {
    const g = mappedGuest({ knobs: { eagerPageSplit: true } });
    g.read(3, 0x5000);
    setLog(g, true);
    // A guest table among the pages of the huge one.
    g.entry(0x3010, 0x204007).entry(0x204000, 0x9067);
    g.write(3, 0x400000, 1);
    setLog(g, false);
    assert.equal(g.vm.stats.pages_4k, 512 + 2);
  });

  it("the split cache is kept in a saved state", () => {
    const g = mappedGuest({ knobs: { eagerPageSplit: true } });
    g.vm.core.state.splitCache.descriptors = 7;
    const saved = structuredClone(g.vm.save());
    g.vm.core.state.splitCache.descriptors = 0;
    g.vm.restore(saved);
    assert.equal(g.vm.core.state.splitCache.descriptors, 7);
  });
});
