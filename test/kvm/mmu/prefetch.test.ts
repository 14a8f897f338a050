import assert from "node:assert/strict";
import { EFER } from "../../../src/x86";
import { checked } from "../checked";
import { firstGuest } from "../tables";

describe("prefetching", () => {
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
