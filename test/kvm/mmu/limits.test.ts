import assert from "node:assert/strict";
import { OF_2010 } from "../../../src/kvm";
import { changeMaxPages } from "../../../src/kvm/mmu/make-room";
import { PageHash } from "../../../src/kvm/mmu/page-lists";
import { ShadowPage } from "../../../src/kvm/mmu/shadow-page";
import { gfn, hpa } from "../../../src/x86";
import { checked } from "../checked";
import { Guest } from "../guest";
import { firstGuest, sp, touchedGuest } from "../tables";

describe("limits", () => {
  it("F-010 a cap on shadow pages makes room by dropping the oldest, and the guest goes on", () => {
    const g = new Guest({ mmuPages: 0x80 });
    g.entry(0x1000, 0x2067).entry(0x2000, 0x3067);
    for (let i = 0; i < 50; i++)
      g.entry(0x3000 + 8 * i, 0x100067 + i * 0x1000).entry(0x100000 + i * 0x1000, 0x9067);
    g.vm.core.state.maxPages = 32;
    g.enter();
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < 50; i++) {
        assert.equal(g.write(3, i * 0x200000, i).kind, "ok");
        assert.ok(g.vm.usedPages <= 36);
        if (i % 20 === 0) assert.deepEqual(g.vm.check(g.vcpu), []);
      }
    assert.ok(g.vm.stats.mmu_recycled > 50);
  });

  it("F-010 a limit that falls, as memory is taken away, is kept at once", () => {
    const g = new Guest(checked);
    g.entry(0x1000, 0x2067).entry(0x2000, 0x3067);
    for (let i = 0; i < 70; i++)
      g.entry(0x3000 + 8 * i, 0x100067 + i * 0x1000).entry(0x100000 + i * 0x1000, 0x9067);
    g.enter();
    for (let i = 0; i < 70; i++) g.first.access(3, BigInt(i * 0x200000), 0, 0n);
    assert.equal(g.vm.usedPages, 73);
    changeMaxPages(g.vm.core.state, 64);
    assert.equal(g.vm.usedPages, 64);
    assert.deepEqual(g.vm.check(g.vcpu), []);
    assert.equal(g.read(3, 0).kind, "ok");
  });

  it("F-005 a lookup visits one bucket", () => {
    const hash = new PageHash(4096);
    const birth = { serial: 0, mmuValidGen: 0, gpteExt: 0 };
    for (let i = 0; i < 4096; i++)
      hash.insert(new ShadowPage({ gfn: gfn(i), role: 0x3781 }, { spt: hpa(0), base: 0 }, birth));
    let longest = 0;
    for (let i = 0; i < 4096; i++) {
      longest = Math.max(longest, hash.bucket(gfn(i)).length);
      assert.equal(hash.matching(gfn(i), 0x3781).length, 1);
    }
    assert.ok(longest <= 8, `a bucket of ${longest}`);
  });

  it("F-108 an instruction that cannot be emulated runs natively once the table's page is zapped", () => {
    const g = touchedGuest(checked).entry(0x2008, 0x6067).entry(0x6000, 0x8067);
    g.entry(0x8000, 0x9067).entry(0x4040, 0x6067);
    g.read(3, 0x40000000);
    const { cpu, vcpu } = g;
    cpu.cpl = 0;
    const fault = () => vcpu.pageFault(0x8010n, vcpu.refill(0x8010n, 2).error).kind;
    assert.equal(fault(), "emulate");
    assert.equal(vcpu.emulationFailed(), true);
    assert.equal(g.vm.pagesOf(gfn(6)).length, 0);
    assert.equal(fault(), "retry");
    assert.equal(vcpu.refill(0x8010n, 2).kind, "ram");
    assert.equal(vcpu.emulationFailed(), false, "nothing is left to blame");
  });

  it("F-108 zapping does not help a write to a table of its own walk", () => {
    const g = touchedGuest(checked).entry(0x4038, 0x3067);
    g.cpu.cpl = 0;
    assert.equal(g.vcpu.pageFault(0x7008n, 2).kind, "emulate");
    assert.equal(g.vcpu.emulationFailed(), false);
    assert.equal(g.vcpu.mmu.stats.insn_emulation_fail, 1);
  });

  it("an exception that is pushed onto a table zaps its page, and is emulated if it comes back", () => {
    const g = touchedGuest(checked).entry(0x4038, 0x3067);
    g.cpu.cpl = 0;
    g.cpu.delivering = true;
    const fault = () => g.vcpu.pageFault(0x7008n, 2).kind;
    assert.equal(fault(), "retry");
    assert.equal(g.vm.pagesOf(gfn(3)).length, 0);
    g.read(3, 0x5000);
    g.cpu.cpl = 0;
    assert.equal(g.vcpu.pageFault(0x7008n, 3).kind, "emulate");
  });

  it("F-080 in 2010 use of the entry that was stored last shows that it is a table", () => {
    for (const [used, floods] of [
      [true, 0],
      [false, 1],
    ] as const) {
      const g = touchedGuest({ ...checked, profile: OF_2010 });
      for (const [i, frame] of [0xa, 0xb, 0xc, 0xd].entries()) {
        g.entry(frame * 0x1000, frame).emulatedStore(0x4030 + 8 * i, frame * 0x1000 + 0x67);
        if (used) g.read(3, 0x6000 + 0x1000 * i);
      }
      assert.equal(g.vm.stats.mmu_flooded, floods, `used: ${used}`);
    }
  });

  it("F-080 F-087 odd stores to a table zap its page", () => {
    for (const [at, bytes] of [
      [0x3004, 8],
      [0x3002, 2],
      [0x3001, 1],
    ] as const) {
      const g = touchedGuest(checked).emulatedStore(at, 0x4067, bytes);
      assert.equal(g.vm.stats.mmu_flooded, 1, `${bytes} bytes at ${at.toString(16)}`);
      assert.equal(g.vm.pagesOf(gfn(3)).length, 0);
    }
    const kept = touchedGuest(checked).emulatedStore(0x3008, 1, 1);
    assert.equal(kept.vm.stats.mmu_flooded, 0);
    const halves = touchedGuest(checked).emulatedStore(0x3004, 0, 4);
    assert.equal(halves.vm.stats.mmu_flooded, 0);
    assert.equal(halves.spte(sp(2)), 1n << 63n, "half an entry is the entry");
  });

  it("F-111 prefetch maps a guest table read-only: it unsyncs nothing", () => {
    const g = firstGuest(checked).entry(0x4000, 0x4067).entry(0x4008, 0x9067).enter();
    g.read(3, 0x1000);
    assert.equal(g.spte(sp(3, 0)) & 3n, 1n);
    assert.equal(g.vm.stats.mmu_unsync, 0);
  });

  it("F-111 prefetch maps resident neighbours with A clear, and stops at the first that is not", () => {
    const g = touchedGuest(checked);
    for (const [i, frame] of [
      [8, 0xb],
      [9, 0xc],
      [10, 0x700],
      [11, 0xd],
    ] as const) {
      g.entry(0x4000 + 8 * i, frame * 0x1000 + 0x67);
      if (frame < 0x100) g.entry(frame * 0x1000, 1);
    }
    g.read(3, 0x8000);
    assert.equal(g.spte(sp(3, 9)), 0x10000ce47n);
    assert.equal(g.spte(sp(3, 10)), 1n << 63n);
    assert.equal(g.spte(sp(3, 11)), 1n << 63n);
  });
});
