import assert from "node:assert/strict";
import { performHostAction } from "../../../src/host";
import { MANUAL_PROTECT } from "../../../src/kvm";
import { tdpClearDirtyMask, tdpClearDirtySlot } from "../../../src/kvm/tdp/clear-dirty";
import { gfn, hva } from "../../../src/x86";
import { TdpGuest, type TdpOptions } from "./tdp-guest";

const HVA = 0x7f0000000000;
const LOG = 1;
const HUGE: TdpOptions = { backing: { kind: "anonymous", writable: true, thp: true } };
const CHANGES = ["kvm_tdp_mmu_spte_changed", "kvm_mmu_split_huge_page", "tlb_flush"];

const log = (g: TdpGuest, on: boolean): string => g.setSlot(0, 0, 0x1000, HVA, on ? LOG : 0);
const dirty = (g: TdpGuest): number[] => {
  const bits = g.vm.getDirtyLog(0) as Uint32Array;
  return Array.from({ length: bits.length * 32 }, (_, i) => i).filter(
    (i) => (bits[i >> 5]! >>> (i & 31)) & 1,
  );
};

describe("dirty tracking in the TDP MMU", () => {
  it("F-008 F-096 F-191 logging takes W, and every write shows once until the log is taken", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    g.touch(0xa000, "write");
    g.log.length = 0;
    log(g, true);
    assert.deepEqual(g.events(CHANGES), [
      "kvm_tdp_mmu_spte_changed: as id 0 gfn 9 level 1 old_spte 8600000100009b77 new_spte 8600000100009b75",
      "kvm_tdp_mmu_spte_changed: as id 0 gfn a level 1 old_spte 860000010000ab77 new_spte 860000010000ab75",
      "tlb_flush: scope all why dirty logging turned on",
    ]);
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.equal(g.vcpu.mmu.stats.pf_fast, 1);
    assert.deepEqual(dirty(g), [9]);
    assert.deepEqual(dirty(g), []);
    g.touch(0x9000, "read");
    assert.deepEqual(dirty(g), []);
    g.touch(0x9000, "write");
    g.touch(0xb000, "write");
    assert.deepEqual(dirty(g), [9, 0xb]);
  });

  it("G15 F-100 F-147 F-148 F-149 a write to what logging protects is fixed without the lock", () => {
    const g = new TdpGuest();
    const other = g.more();
    g.touch(0x9000, "write");
    log(g, true);
    g.log.length = 0;
    const before = { ...g.vcpu.mmu.stats };
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.deepEqual(g.events(["fast_page_fault", "dirty_mark"]), [
      "dirty_mark: gfn 9 why fast page fault",
      "fast_page_fault: vcpu 0 gva 9000 error_code P|W sptep 200003048 old 0x8600000100009b75 new 8600000100009b77 spurious 0 fixed 1",
    ]);
    assert.equal(g.vcpu.mmu.stats.pf_fixed, before.pf_fixed + 1);
    assert.deepEqual(dirty(g), [9]);
    g.touch(0x9000, "write");
    assert.equal(g.touch(0x9000, "write", other), "ok");
    assert.equal(other.vcpu.mmu.stats.pf_taken, 0);
  });

  it("G15 F-192 the fast path keeps the table it looks at from being freed", () => {
    const g = new TdpGuest();
    g.setSlot(1, 0x8000, 0x10, HVA);
    g.touch(0x9000, "write");
    log(g, true);
    let pending = 0;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "R1" || pending > 0) return;
      g.setSlot(1, 0x8000, 0, HVA);
      pending = g.vm.core.state.grace.pending;
    });
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.deepEqual([pending, g.vm.core.state.grace.pending], [3, 0]);
    assert.deepEqual(dirty(g), [9]);
  });

  it("F-135 a large leaf in a slot that logs is split by the write that meets it", () => {
    const g = new TdpGuest({ ...HUGE, knobs: { eagerPageSplit: false } });
    g.touch(0x203000, "write");
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [1, 0]);
    log(g, true);
    assert.equal(g.vm.stats.pages_2m, 1);
    g.log.length = 0;
    assert.equal(g.touch(0x203000, "write"), "ok");
    assert.ok(
      g.events(CHANGES).some((line) => line.startsWith("kvm_mmu_split_huge_page: gfn 200 ")),
    );
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [0, 512]);
    assert.deepEqual(dirty(g), [0x203]);
    // The others of the 512 are read-only as the large leaf was.
    g.touch(0x204000, "write");
    assert.deepEqual(dirty(g), [0x204]);
  });

  it("F-008 with all bits set at first a large leaf stays writable until a bit in its range is cleared", () => {
    const g = new TdpGuest({ ...HUGE, knobs: { eagerPageSplit: false } });
    g.vm.setManualProtect(MANUAL_PROTECT.enable | MANUAL_PROTECT.initiallySet);
    g.touch(0x203000, "write");
    log(g, true);
    assert.equal(g.leafAt(0x203000), 0x8600000100200bf7n);
    const range = { slot: 0, firstPage: 0x200, numPages: 64, bitmap: new Uint32Array([8, 0]) };
    assert.equal(g.vm.clearDirtyLog(range), undefined);
    assert.equal(g.leafAt(0x203000), 0x8200000100200bf5n);
    g.verify("a clear bit");
    assert.equal(g.touch(0x203000, "write"), "ok");
    assert.ok(dirty(g).includes(0x203));
  });

  it("eager splitting replaces large leaves when logging begins", () => {
    const g = new TdpGuest({ ...HUGE, knobs: { eagerPageSplit: true } });
    g.touch(0x203000, "write");
    g.log.length = 0;
    log(g, true);
    const lines = g.events(CHANGES);
    assert.equal(
      lines[0],
      "kvm_tdp_mmu_spte_changed: as id 0 gfn 200 level 2 old_spte 8600000100200bf7 new_spte 8000000200003907",
    );
    assert.equal(
      lines[1],
      "kvm_mmu_split_huge_page: gfn 200 spte 8600000100200bf7 level 2 errno 0",
    );
    assert.equal(lines.filter((line) => line.includes("level 1")).length, 512);
    assert.equal(g.leafAt(0x203000), 0x8600000100203b75n);
    g.verify("split");
    g.touch(0x3ff000, "write");
    assert.deepEqual(dirty(g), [0x3ff]);
  });

  it("eager splitting goes on after the first large leaf", () => {
    const g = new TdpGuest({ ...HUGE, knobs: { eagerPageSplit: true } });
    for (const at of [0x203000, 0x403000, 0x605000]) g.touch(at, "write");
    assert.equal(g.vm.stats.pages_2m, 3);
    log(g, true);
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [0, 3 * 512]);
  });

  it("eager splitting that another actor overtakes begins again, with the frame it had", () => {
    const g = new TdpGuest({ ...HUGE, mmuPages: 4, knobs: { eagerPageSplit: true } });
    g.touch(0x203000, "write");
    let once = true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "P5" || !once) return;
      once = false;
      const start = g.vm.slots[0]!.hvaOf(gfn(0x200));
      assert.ok(g.process.notifiers.clearYoung({ start, end: hva(start + 4096) }));
    });
    g.log.length = 0;
    log(g, true);
    const tries = g.events(["kvm_mmu_split_huge_page"]).map((line) => line.split(" ").at(-1));
    assert.deepEqual(tries, ["-16", "0"]);
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [0, 512]);
  });

  it("eager splitting that finds no frame leaves the large leaf", () => {
    const g = new TdpGuest({ ...HUGE, mmuPages: 3, knobs: { eagerPageSplit: true } });
    g.touch(0x203000, "write");
    g.log.length = 0;
    log(g, true);
    assert.ok(g.events(CHANGES).some((line) => line.endsWith("level 2 errno -12")));
    g.verify("no frame");
    assert.equal(g.touch(0x203000, "read"), "ok");
  });

  it("F-132 when logging ends, small leaves in a huge host page become one large leaf again", () => {
    const g = new TdpGuest({ ...HUGE, knobs: { eagerPageSplit: true } });
    g.touch(0x203000, "write");
    log(g, true);
    g.touch(0x203000, "write");
    g.log.length = 0;
    log(g, false);
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [1, 0]);
    assert.ok(g.events(CHANGES).includes("tlb_flush: scope all why huge pages recovered"));
    g.verify("recovered");
    assert.equal(g.touch(0x203000, "write"), "ok");
    assert.equal(g.touch(0x2ff000, "write"), "ok");
  });

  it("an empty table in a huge host page stays when logging ends, and the next fault replaces it", () => {
    const g = new TdpGuest(HUGE);
    log(g, true);
    g.touch(0x203000, "write");
    g.touch(0x400000, "read");
    performHostAction(g.process, g.trace, "migrate", g.vm.slots[0]!.hvaOf(gfn(0x203)));
    const trees = g.vm.core.state.tdpMmu!;
    assert.deepEqual([g.vm.stats.pages_4k, trees.linkedPages], [1, 4]);
    log(g, false);
    // The neighbour's only leaf became large, and its table went.
    assert.deepEqual([g.vm.stats.pages_4k, g.vm.stats.pages_2m, trees.linkedPages], [0, 1, 3]);
    g.verify("log off");
    g.log.length = 0;
    assert.equal(g.touch(0x203000, "write"), "ok");
    assert.deepEqual([g.vm.stats.pages_2m, trees.linkedPages], [2, 2]);
    const why = "tlb_flush: scope all why small pages replaced by a large one";
    assert.ok(g.events(CHANGES).includes(why));
  });

  it("small leaves over small host pages stay when logging ends, and so do empty tables", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    log(g, true);
    log(g, false);
    assert.equal(g.vm.stats.pages_4k, 1);
    g.verify("log off");
  });

  it("D bits are cleared where the hardware logs them, W bits in trees without", () => {
    for (const [eptad, after] of [
      [true, 0x8600000100009977n],
      [false, 0x8610000100009b75n],
    ] as const) {
      const g = new TdpGuest({ knobs: { eptad } });
      g.touch(0x9000, "write");
      tdpClearDirtySlot(g.vm.core.state, g.vm.slots[0]!);
      assert.equal(g.leafAt(0x9000), after);
      g.log.length = 0;
      tdpClearDirtySlot(g.vm.core.state, g.vm.slots[0]!);
      assert.deepEqual(g.events(CHANGES), [], "there is nothing left to clear");
    }
  });

  it("a mask clears exactly its frames, 4K leaves only", () => {
    const g = new TdpGuest();
    for (const frame of [0x20, 0x21, 0x3f, 0x40]) g.touch(frame * 4096, "write");
    const { state } = g.vm.core;
    tdpClearDirtyMask(state, g.vm.slots[0]!, gfn(0x20), 0x80000001, true);
    const w = [0x20, 0x21, 0x3f, 0x40].map((frame) => Number(g.leafAt(frame * 4096) & 2n));
    assert.deepEqual(w, [0, 2, 0, 2]);
    tdpClearDirtyMask(state, g.vm.slots[0]!, gfn(0x20), 2, false);
    assert.equal(g.leafAt(0x21000) & 0x202n, 2n);
    const page = g.process.page(g.vm.slots[0]!.hvaOf(gfn(0x21)));
    assert.equal(page?.dirty, true);
  });
});
