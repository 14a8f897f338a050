import assert from "node:assert/strict";
import { type Backing, GUEST_HVA, type HostAction, performHostAction } from "../../../src/host";
import { OF_2010, OF_2012 } from "../../../src/kvm/profile";
import { gpa, type Hva, hva } from "../../../src/x86";
import { checked } from "../checked";
import { Guest, type GuestOptions } from "../guest";
import { NP, sp, touchedGuest } from "../tables";

const ANONYMOUS: Backing = { kind: "anonymous", writable: true };
const THP: Backing = { ...ANONYMOUS, thp: true };
const page = (k: number): Hva => hva(GUEST_HVA + k * 4096);
const act = (g: Guest, action: HostAction, k: number): string =>
  performHostAction(g.process, g.trace, action, page(k)).kind;
const range = (from: number, to: number) => ({ start: page(from), end: page(to) });

/** gva 0x5000 → gfn 9 in slot 0 and gva 0x6000 → gfn 0x2009 in slot 1, which has the same hva. */
function aliased(options: GuestOptions = checked): Guest {
  const g = touchedGuest(options).entry(0x4030, 0x2009007);
  assert.equal(g.setSlot(1, 0x2000, 0x1000, GUEST_HVA), "create");
  g.enter();
  g.read(3, 0x5000);
  g.read(3, 0x6000);
  return g;
}
const leaves = (g: Guest): number =>
  g.vm.slots.reduce((n, slot) => n + g.vm.countsOf(slot).sptes, 0);

describe("the VM's notifier", () => {
  it("F-038 F-119 two slots over one hva both lose the page", () => {
    const g = aliased();
    g.write(3, 0x5000, 5);
    assert.deepEqual(g.read(3, 0x6000), { kind: "ok", value: 5n, emulated: false });
    assert.equal(leaves(g), 2);
    act(g, "migrate", 9);
    assert.equal(leaves(g), 0);
    assert.deepEqual(g.read(3, 0x6000), { kind: "ok", value: 5n, emulated: false });
  });

  it("F-043 F-119 a range drops what lies in it, up to its last page, and nothing else", () => {
    const g = touchedGuest(checked);
    for (const i of [0, 1, 2, 3]) g.entry(0x4030 + 8 * i, 0x20007 + i * 0x1000);
    for (const i of [0, 1, 2, 3]) g.read(3, 0x6000 + i * 0x1000);
    g.process.notifiers.around(range(0x21, 0x23), () => {});
    const present = [6, 7, 8, 9].map((i) => g.spte(sp(3, i)) !== NP);
    assert.deepEqual(present, [true, false, false, true]);
    assert.notEqual(g.spte(sp(3, 5)), NP);
  });

  it("INV-N-03 a range outside all slots moves no counter, one at their edge does", () => {
    const g = touchedGuest(checked);
    const { notifier } = g.vm.core.state;
    g.process.notifiers.around(range(0x1000, 0x1008), () => assert.equal(notifier.inProgress, 0));
    g.process.notifiers.around(range(-8, 0), () => assert.equal(notifier.inProgress, 0));
    assert.equal(notifier.seq, 0);
    g.process.notifiers.around(range(0xfff, 0x1008), () =>
      assert.deepEqual(
        { ...notifier },
        { inProgress: 1, rangeStart: 0xfff, rangeEnd: 0x1000, seq: 0 },
      ),
    );
    assert.deepEqual([notifier.seq, notifier.inProgress], [1, 0]);
  });

  it("INV-N-01 ranges that run together cover both, and a new one begins afresh", () => {
    const g = touchedGuest(checked);
    const { notifier } = g.vm.core.state;
    const seen = (): number[] => [notifier.inProgress, notifier.rangeStart, notifier.rangeEnd];
    g.process.notifiers.around(range(0x20, 0x21), () => {
      g.process.notifiers.around(range(0x10, 0x11), () =>
        assert.deepEqual(seen(), [2, 0x10, 0x21]),
      );
      assert.deepEqual(seen(), [1, 0x10, 0x21]);
    });
    g.process.notifiers.around(range(0x30, 0x31), () => assert.deepEqual(seen(), [1, 0x30, 0x31]));
  });

  it("INV-N-01 F-112 inside a range nothing is mapped; outside it a fault goes on", () => {
    const g = touchedGuest({}).entry(0x4030, 0x20007);
    act(g, "swap-out", 9);
    g.process.notifiers.around(range(8, 10), () => {
      g.first.oneTry = true;
      g.read(3, 0x5000);
      g.first.oneTry = false;
      assert.equal(g.spte(sp(3, 5)), NP);
      assert.equal(g.read(3, 0x6000).kind, "ok");
    });
    assert.equal(g.read(3, 0x5000).kind, "ok");
  });

  it("F-119 a range over part of a large leaf drops it", () => {
    const g = new Guest({ ...checked, backing: THP })
      .entry(0x1000, 0x2007)
      .entry(0x2000, 0x3007)
      .entry(0x3008, 0x2000e7)
      .enter();
    g.write(3, 0x203000, 1);
    assert.equal(g.vm.stats.pages_2m, 1);
    g.process.notifiers.around(range(0x3ff, 0x400), () => {});
    assert.equal(g.vm.stats.pages_2m, 0);
  });

  it("F-119 age: the A bit tells of use and is cleared; testing leaves it", () => {
    const g = touchedGuest(checked);
    const { notifiers } = g.process;
    const here = range(9, 10);
    assert.ok(notifiers.testYoung(here) && notifiers.testYoung(here));
    const flushes = g.vm.stats.remote_tlb_flush;
    assert.ok(notifiers.clearYoung(here));
    assert.equal(g.vm.stats.remote_tlb_flush, flushes);
    assert.equal(g.spte(sp(3, 5)) & 0x20n, 0n);
    assert.ok(!notifiers.testYoung(here) && !notifiers.clearFlushYoung(here));
    g.cpu.flushTlb();
    g.read(3, 0x5000);
    assert.ok(notifiers.testYoung(here), "the hardware sets it again");
    assert.ok(!notifiers.testYoung(range(10, 11)));
    assert.deepEqual(g.events(["kvm_age_hva"]).length, 2);
  });

  for (const profile of [OF_2010, OF_2012])
    it(`F-119 in ${profile.era} age and its test are told page by page`, () => {
      const g = touchedGuest({ ...checked, profile });
      const { notifiers } = g.process;
      const both = ["kvm_age_hva", "kvm_test_age_hva", "kvm_age_page"];
      assert.ok(notifiers.clearYoung(range(9, 11)));
      assert.ok(!notifiers.testYoung(range(9, 10)));
      assert.deepEqual(g.events(both), [
        "kvm_age_page: hva 7f0000009000 gfn 9 YOUNG",
        "kvm_age_page: hva 7f000000a000 gfn a OLD",
        "kvm_age_page: hva 7f0000009000 gfn 9 OLD",
      ]);
    });

  it("F-119 age asks every leaf of the page, also after a yes", () => {
    const g = aliased();
    assert.ok(g.process.notifiers.clearYoung(range(9, 10)));
    assert.ok(!g.process.notifiers.testYoung(range(9, 10)));
  });

  it("F-007 reclaim takes pages the guest does not use, and keeps those it does", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x20007);
    g.read(3, 0x6000);
    for (const k of [9, 0x20]) act(g, "age", k);
    g.cpu.flushTlb();
    g.read(3, 0x5000);
    assert.equal(act(g, "reclaim", 9), "done");
    assert.equal(act(g, "reclaim", 0x20), "done");
    assert.notEqual(g.process.translate(page(9)), undefined);
    assert.equal(g.process.translate(page(0x20)), undefined);
    assert.notEqual(g.spte(sp(3, 5)), NP);
    assert.equal(g.spte(sp(3, 6)), NP);
  });

  it("the D bit of a dropped leaf goes to the page, so that its file gets what was written", () => {
    const g = touchedGuest(checked);
    g.process.createFile("disk", 1);
    const file: Backing = {
      kind: "file",
      file: "disk",
      firstPage: 0,
      shared: true,
      writable: true,
    };
    g.process.mmapOver(page(9), 4096, file);
    g.write(3, 0x5000, 77);
    act(g, "swap-out", 9);
    assert.equal(g.process.page(page(9))?.swapped, false);
    assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 77n, emulated: false });
  });

  it("F-164 mapping other memory behind a slot shows at the guest's next access", () => {
    const g = touchedGuest(checked);
    g.write(3, 0x5000, 1);
    g.process.mmapOver(page(9), 4096, ANONYMOUS);
    assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 0n, emulated: false });
    g.write(3, 0x5000, 2);
    act(g, "discard", 9);
    assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 0n, emulated: false });
  });

  it("F-148 a page that the host makes read-only is mapped read-only, and writable again", () => {
    const g = touchedGuest(checked);
    act(g, "read-only", 9);
    g.read(3, 0x5000);
    assert.equal(g.spte(sp(3, 5)) & 0xfffn, 0x825n);
    act(g, "writable", 9);
    assert.equal(g.write(3, 0x5000, 3).kind, "ok");
    assert.equal(g.spte(sp(3, 5)) & 0xfffn, 0xe67n);
  });

  it("the end of the process drops everything", () => {
    const g = touchedGuest({});
    g.process.notifiers.release();
    assert.equal(leaves(g), 0);
  });

  it("a disposed VM hears nothing, and is not asked to shrink", () => {
    const g = touchedGuest({});
    g.vm.dispose();
    act(g, "migrate", 9);
    assert.equal(g.vm.core.state.notifier.seq, 0);
    assert.equal(g.process.shrinkers.count(), 0);
  });
});

for (const profile of [OF_2010, OF_2012])
  describe(`change_pte in the era of ${profile.era}`, () => {
    /** Gfn 9, at gva 0x5000, and gfn 0xc have the same bytes. */
    function twins(): Guest {
      const g = touchedGuest({ ...checked, profile });
      g.vm.memory.write(gpa(0xc000), new Uint8Array([1]));
      g.log.length = 0;
      return g;
    }
    const flags = (g: Guest): bigint => g.spte(sp(3, 5)) & 0xfffn;
    const frame = (g: Guest): bigint => g.spte(sp(3, 5)) >> 12n;

    it("G14 F-119 a merged page stays mapped, read-only, in its new frame, with one flush", () => {
      const g = twins();
      assert.equal(act(g, "merge", 9), "done");
      assert.equal(g.log.filter((e) => e.name === "tlb_flush").length, 1);
      assert.deepEqual(g.events(["kvm_set_spte_hva", "kvm_unmap_hva_range"]), [
        "kvm_set_spte_hva: mmu notifier set pte hva: 0x00007f000000c000",
        "kvm_set_spte_hva: mmu notifier set pte hva: 0x00007f0000009000",
      ]);
      assert.equal(frame(g), 0x10000cn);
      assert.equal(flags(g), 5n);
      assert.equal(g.vm.core.state.notifier.seq, 2);
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 1n, emulated: false });
      assert.equal(flags(g), 0x25n, "the hardware sets A");
    });

    it("F-119 the leaf of a page that was copied goes, and the write finds the copy", () => {
      const g = twins();
      act(g, "merge", 9);
      assert.equal(g.write(3, 0x5000, 7).kind, "ok");
      assert.equal(frame(g), BigInt(g.process.translate(page(9))!));
      assert.notEqual(frame(g), 0x10000cn);
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 7n, emulated: false });
      assert.equal(g.entryAt(0xc000), 1n);
    });

    it("F-119 every leaf of the page that was copied goes, not just the one that was written", () => {
      const g = twins().entry(0x4040, 0x9067);
      act(g, "merge", 9);
      assert.deepEqual(g.read(3, 0x8000), { kind: "ok", value: 1n, emulated: false });
      assert.equal(g.write(3, 0x5000, 7).kind, "ok");
      assert.equal(g.spte(sp(3, 8)) & 1n, 0n);
      assert.deepEqual(g.read(3, 0x8000), { kind: "ok", value: 7n, emulated: false });
    });

    it("F-112 a fault that looked the page up before looks again", () => {
      const g = twins();
      act(g, "swap-out", 9);
      let merged = "";
      g.trace.on("point", (event) => {
        if (event.fields.point !== "P1" || merged !== "") return;
        merged = act(g, "merge", 9);
      });
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 1n, emulated: false });
      assert.equal(merged, "done");
      assert.equal(frame(g), 0x10000cn);
      assert.deepEqual(
        g.log.filter((e) => e.name === "retry").map((e) => e.fields.why),
        ["stale-seq"],
      );
    });

    it("the use of the old page is told before it is gone", () => {
      const g = twins();
      g.process.mappingAt(page(9))?.clear(9, 3);
      act(g, "merge", 9);
      assert.ok(g.process.page(page(9))?.dirty);
    });
  });

describe("the modern era", () => {
  it("has no change_pte: merging invalidates", () => {
    const g = touchedGuest(checked);
    g.vm.memory.write(gpa(0xc000), new Uint8Array([1]));
    g.log.length = 0;
    act(g, "merge", 9);
    assert.equal(g.spte(sp(3, 5)), NP);
    assert.equal(g.events(["kvm_unmap_hva_range"]).length, 2);
  });
});
