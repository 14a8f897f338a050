import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { hva } from "../../../src/x86";
import { checked } from "../checked";
import { firstGuest } from "../tables";

describe("guest tables that KVM reads and marks", () => {
  it("F-113 A is not set in a table that the host maps read-only, and nothing else is written", () => {
    const g = firstGuest(checked).enter();
    g.process.protect(hva(GUEST_HVA + 0x4000), 0x1000, false);
    const before = new Uint32Array(g.memory.buffer, 0, 0x1000).slice();
    assert.equal(g.read(3, 0x5000).kind, "ok");
    assert.equal(g.entryAt(0x3000), 0x4027n);
    assert.equal(g.entryAt(0x4028), 0x9007n);
    assert.deepEqual(new Uint32Array(g.memory.buffer, 0, 0x1000), before);
  });

  it("F-113 nor in one that lies in a read-only slot", () => {
    const g = firstGuest(checked);
    g.setSlot(0, 0, 0, GUEST_HVA);
    g.setSlot(0, 0, 4, GUEST_HVA);
    g.setSlot(1, 4, 1, GUEST_HVA + 0x4000, 2);
    g.setSlot(2, 5, 0x100, GUEST_HVA + 0x5000);
    g.enter();
    assert.equal(g.read(3, 0x5000).kind, "ok");
    assert.equal(g.entryAt(0x3000), 0x4027n);
    assert.equal(g.entryAt(0x4028), 0x9007n);
  });
});
