import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { pfnOf } from "../../../src/x86";
import { checked } from "../checked";
import { touchedGuest } from "../tables";

describe("walkers without mmu_lock", () => {
  it("F-192 INV-T-04 no table they may be in is freed before they have left", () => {
    const g = touchedGuest(checked);
    const frames = [...g.vm.activePages()].map((page) => pfnOf(page.spt));
    const { grace } = g.vm.core.state;
    const freed = (): number => frames.filter((frame) => !g.host.isAllocated(frame)).length;
    // A walker comes in when the pages are out of reach and about to be freed.
    let reader = 0;
    const off = g.trace.on("point", ({ fields }) => {
      if (fields.point === "Z2" && reader === 0) reader = grace.enter();
    });
    g.setSlot(1, 0x4000, 0x100, GUEST_HVA);
    g.setSlot(1, 0, 0, GUEST_HVA);
    g.enter();
    off();
    assert.notEqual(reader, 0);
    assert.equal(freed(), 0);
    grace.leave(reader);
    assert.equal(freed(), frames.length);
  });

  it("F-192 one that comes later does not hold them up", () => {
    const g = touchedGuest(checked);
    const { grace } = g.vm.core.state;
    const early = grace.enter();
    g.setSlot(1, 0x4000, 0x100, GUEST_HVA);
    g.setSlot(1, 0, 0, GUEST_HVA);
    g.enter();
    const late = grace.enter();
    assert.ok(grace.pending > 0);
    grace.leave(early);
    assert.equal(grace.pending, 0);
    grace.leave(late);
  });
});
