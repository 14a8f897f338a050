import assert from "node:assert/strict";
import { TdpGuest } from "./tdp-guest";

const guest = () =>
  new TdpGuest({
    backing: { kind: "anonymous", writable: true, thp: true },
    knobs: { nxHugePages: true, nxHugePagesRecoveryRatio: 1 },
  });

describe("the NX workaround in the TDP MMU", () => {
  it("F-140 a fetch splits the huge leaf, which is not executable; the table is counted", () => {
    const g = guest();
    g.touch(0x203000, "write");
    assert.equal(g.leafAt(0x203000), 0x8600000100200bf3n);
    assert.equal(g.touch(0x203000, "fetch"), "ok");
    assert.deepEqual(
      [g.vm.stats.nx_lpage_splits, g.vm.stats.pages_2m, g.vm.stats.pages_4k],
      [1, 0, 512],
    );
    assert.equal(g.leafAt(0x203000), 0x8600000100203b77n);
    // Reads and writes go on at 4K while some leaf there may be executable.
    g.tlbs.get(g.first)!.clear();
    assert.equal(g.touch(0x2ff000, "write"), "ok");
    assert.equal(g.vm.stats.pages_2m, 0);
  });

  it("F-140 data accesses beside the code do not make the page huge again, and find their own frames", () => {
    const g = guest();
    g.touch(0x203000, "fetch");
    assert.equal(g.touch(0x2ff000, "write"), "ok");
    assert.deepEqual([g.vm.stats.pages_2m, g.vm.stats.pages_4k], [0, 2]);
    assert.equal(g.leafAt(0x2ff000) >> 12n, (g.leafAt(0x203000) >> 12n) + 0xfcn);
  });

  it("F-140 recovery zaps the table, and the next access is huge again", () => {
    const g = guest();
    g.touch(0x203000, "fetch");
    assert.equal(g.vm.stats.pages_4k, 1);
    assert.equal(g.vm.recoverNxHugePages(), 1);
    g.verify("recovery");
    assert.deepEqual([g.vm.stats.nx_lpage_splits, g.vm.stats.pages_4k], [0, 0]);
    assert.equal(g.touch(0x203000, "write"), "ok");
    assert.equal(g.vm.stats.pages_2m, 1);
  });

  it("F-140 a table that stands for a huge page is forgotten with its tree", () => {
    const g = guest();
    g.touch(0x203000, "fetch");
    g.vm.setNxHugePages(false);
    g.vcpu.enter();
    g.verify("workaround off");
    assert.deepEqual(
      [g.vm.stats.nx_lpage_splits, g.vm.core.state.possibleNxHugePages.size],
      [0, 0],
    );
    assert.equal(g.touch(0x203000, "fetch"), "ok");
    assert.equal(g.vm.stats.pages_2m, 1);
  });
});
