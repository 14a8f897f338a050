import assert from "node:assert/strict";
import { trackWrites, untrackWrites } from "../../../src/kvm/mmu/write-track";
import { gfn } from "../../../src/x86";
import { TdpGuest } from "./tdp-guest";

/** Whoever tracks frames is none of the guest's tables. */
function track(g: TdpGuest, frame: number): boolean {
  for (const id of ["INV-U-09", "INV-L-01"]) g.tolerated.add(id);
  const { state } = g.vm.core;
  const flush = trackWrites(state, g.vm.slots[0]!, gfn(frame));
  if (flush) state.flushRemoteTlbs("test");
  return flush;
}
const untrack = (g: TdpGuest, frame: number): void =>
  untrackWrites(g.vm.core.state, g.vm.slots[0]!, gfn(frame));

describe("write protection in the TDP MMU", () => {
  it("F-097 F-136 a frame that is tracked loses W and MMU-writable, and its writes are emulated", () => {
    const g = new TdpGuest();
    const other = g.more();
    g.touch(0x9000, "write");
    g.touch(0xa000, "write");
    assert.equal(track(g, 9), true);
    assert.equal(g.leafAt(0x9000), 0x8200000100009b75n);
    assert.equal(g.leafAt(0xa000), 0x860000010000ab77n);
    assert.equal(track(g, 9), false, "there is nothing left to take, nor to flush");
    untrack(g, 9);
    assert.equal(g.touch(0x9000, "read", other), "ok");
    assert.equal(g.touch(0x9000, "write"), "emulate");
    // Mapped by a read or not at all before: it does not become writable either.
    assert.equal(g.touch(0x9000, "write", other), "emulate");
    untrack(g, 9);
    assert.equal(g.touch(0x9000, "write"), "ok");
  });

  it("F-136 a tracked frame bars the large leaf around it", () => {
    const g = new TdpGuest({ backing: { kind: "anonymous", writable: true, thp: true } });
    g.touch(0x203000, "write");
    assert.equal(track(g, 0x204), true);
    assert.equal(g.leafAt(0x203000) & 0x0400000000000002n, 0n);
    g.verify("tracked");
    assert.equal(g.touch(0x203000, "write"), "ok");
    assert.deepEqual([g.vm.stats.pages_2m, g.leafAt(0x203000) & 0x80n], [0, 0n]);
    assert.equal(g.touch(0x204000, "write"), "emulate");
    untrack(g, 0x204);
    assert.equal(g.touch(0x204000, "write"), "ok");
  });
});
