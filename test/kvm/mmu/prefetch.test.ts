import assert from "node:assert/strict";
import { EFER } from "../../../src/x86";
import { checked } from "../checked";
import { firstGuest } from "../tables";

describe("prefetching", () => {
  it("F-098 fills the window of a direct page up to what is not resident", () => {
    const g = firstGuest(checked).entry(0x3008, 0x2000e7).enter();
    for (const frame of [0x200, 0x202, 0x204, 0x208]) g.entry(0x1000 * frame, frame);
    assert.equal(g.read(3, 0x201000).kind, "ok");
    const { stats } = g.vcpu.mmu;
    const taken = (frame: number): number => {
      const before = stats.pf_taken;
      const value = BigInt(frame);
      assert.deepEqual(g.read(3, 0x1000 * frame), { kind: "ok", value, emulated: false });
      return stats.pf_taken - before;
    };
    assert.deepEqual([0x200, 0x202, 0x204, 0x208].map(taken), [0, 0, 1, 1]);
  });

  it("F-098 leaves out an entry with a reserved bit in its upper half", () => {
    const g = firstGuest(checked);
    for (const frame of [0xa, 0xb, 0xc, 0xd, 0xe]) g.entry(0x1000 * frame, 0);
    for (const index of [0, 1, 2, 3]) g.entry(0x4000 + 8 * index, 0xa027 + 0x1000 * index);
    // Without EFER.NX bit 63 is reserved.
    g.entry(0x4020, 0x800000000000e027n);
    g.enter().setEfer(g.cpu.efer & ~EFER.NX);
    g.read(3, 0x5000);
    const { stats } = g.vcpu.mmu;
    const faults = stats.pf_taken;
    assert.equal(g.read(3, 0x3000).kind, "ok");
    assert.equal(stats.pf_taken, faults, "mapped before it was touched");
    assert.deepEqual(g.read(3, 0x4000), { kind: "fault", error: 0xd, cr2: 0x4000n });
  });
});
