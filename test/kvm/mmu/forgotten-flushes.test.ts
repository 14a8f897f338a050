import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { OF_2012 } from "../../../src/kvm/profile";
import { ALLOW, type Hva, hva } from "../../../src/x86";
import { checked } from "../checked";
import type { Guest } from "../guest";
import { hugeGuest } from "../huge-guest";
import { touchedGuest } from "../tables";
import { TdpGuest } from "../tdp/tdp-guest";
import { AT, guestOver1G, leaves, PAGES } from "./gigabyte-guest";

const page = (frame: number): Hva => hva(GUEST_HVA + frame * 4096);
const REPLACED = "entry replaced by a table";

/** Some TLB entry of the first vCPU for this page allows writes. */
const cachedWritable = ({ cpu }: Guest, va: number): boolean =>
  [...cpu.tlb].some(
    ([key, { allow }]) => key.endsWith(String(va / 4096)) && (allow & ALLOW.write) !== 0,
  );

describe("a TLB that holds what an spte no longer grants", () => {
  for (const [level, link] of [
    [2, 0x2008],
    [1, 0x3008],
  ] as const)
    it(`INV-T-03 is flushed when the frame becomes a guest table of level ${level}`, () => {
      const g = touchedGuest(checked).entry(0x4030, 0xa067);
      g.write(3, 0x6000, 0xb067);
      assert.ok(cachedWritable(g, 0x6000));
      g.entry(0xb000, 0xc067).entry(link, 0xa067);
      assert.equal(g.read(3, level === 2 ? 0x40000000 : 0x200000).kind, "ok");
      assert.ok(!cachedWritable(g, 0x6000));
    });

  for (const [what, gpte, kind] of [
    ["another frame", 0xd067, "ok"],
    ["a device", 0xd0000067, "device"],
  ] as const)
    it(`INV-T-02 is flushed when ${what} takes the place of what a leaf maps`, () => {
      const g = touchedGuest(checked).entry(0x4030, 0x4067).entry(0x4040, 0xc065);
      const other = g.addVcpu();
      other.vcpu.enter();
      assert.equal(other.access(3, 0x8000n, 0, 0n).kind, "ok");
      g.read(3, 0x8000);
      // The table goes unsync; the write then finds the read-only leaf of the old frame.
      g.write(0, 0x6040, gpte);
      assert.equal(g.write(3, 0x8000, 7).kind, kind);
      if (kind === "ok") assert.equal(g.entryAt(0xd000), 7n);
      assert.equal(other.cpu.tlb.size, 0);
    });

  it("INV-T-02 is flushed when a large leaf takes the place of a table", () => {
    const g = hugeGuest(checked).entry(0x2008, 0x210067).entry(0x210000, 0x4067);
    const other = g.addVcpu();
    other.vcpu.enter();
    // A guest table within keeps the 2M page in small leaves, until its page goes.
    g.read(3, 0x40005000);
    g.read(3, 0x201000);
    g.emulatedStore(0x210004, 0);
    assert.equal(g.vm.stats.mmu_flooded, 1);
    assert.equal(other.access(3, 0x201000n, 0, 0n).kind, "ok");
    g.read(3, 0x221000);
    assert.equal(g.vm.stats.pages_2m, 1);
    assert.equal(other.cpu.tlb.size, 0);
  });

  it("INV-T-02 is flushed when a frame becomes an upper-level table and its unsync page is synced", () => {
    const g = touchedGuest({ ...checked, profile: OF_2012 }).entry(0x4030, 0x4067);
    // Something must be left in the page, or it is zapped and flushed for that.
    g.entry(0x4038, 0xe067).read(3, 0x7000);
    const other = g.addVcpu();
    other.vcpu.enter();
    // The table goes unsync with a gpte that its leaf does not follow; then nobody maps the table any more.
    g.write(0, 0x6028, 0xb067);
    g.process.notifiers.around({ start: page(4), end: page(5) }, () => {});
    assert.equal(other.access(3, 0x5000n, 0, 0n).kind, "ok");
    g.entry(0x2008, 0x4067).entry(0x4000, 0xc067).entry(0xc000, 0xd067);
    g.read(0, 0x40000000);
    assert.equal(other.cpu.tlb.size, 0);
    assert.equal(g.vm.stats.mmu_unsync, 0);
  });

  it("INV-T-02 is flushed when a leaf without A bits is dropped to tell whether it is used", () => {
    const g = new TdpGuest({ profile: OF_2012, tdpMmu: false });
    g.touch(0x9000, "write");
    const tlb = g.tlbs.get(g.first)!;
    assert.equal(tlb.size, 1);
    assert.ok(g.process.notifiers.clearYoung({ start: page(9), end: page(10) }));
    assert.equal(tlb.size, 0);
    // Not used since: that shows by its being gone.
    assert.ok(!g.process.notifiers.clearYoung({ start: page(9), end: page(10) }));
    assert.equal(g.touch(0x9000, "read"), "ok");
  });

  for (const paging of ["shadow", "ept", "npt"] as const)
    it(`is flushed when an emulated access uses a translation and faults, under ${paging} (SDM 3A 4.10.4.1)`, () => {
      const g = touchedGuest({ ...checked, paging })
        .entry(0x4030, 0x4067)
        .entry(0xb000, 11);
      // The frame of 0x5000 becomes another, read-only one: the TLB knows the old one.
      g.write(0, 0x6028, 0xb065);
      assert.ok(cachedWritable(g, 0x5000));
      assert.deepEqual(g.first.emulated(0x5000n, 6, 7n), { kind: "fault", error: 7, cr2: 0x5000n });
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 11n, emulated: false });
    });

  for (const request of ["tlbFlush", "tlbFlushCurrent", "tlbFlushGuest"] as const)
    it(`is flushed before the next entry where ${request} was asked for`, () => {
      const g = touchedGuest(checked);
      assert.ok(g.cpu.tlb.size > 0);
      g.vm.core.state.request(g.vcpu.mmu, request);
      g.enter();
      assert.equal(g.cpu.tlb.size, 0);
    });

  it("is flushed when a 1G leaf is split over a table that lacks entries", () => {
    const g = guestOver1G({ knobs: { eagerPageSplit: true } });
    const log = (flags: 0 | 1) => g.setSlot(1, PAGES, PAGES, AT, flags);
    const replaced = (): number => g.log.filter(({ fields }) => fields.why === REPLACED).length;
    // The same GiB twice: by small leaves, of which the tables stay, then by one of 1G.
    g.entry(0x1000, 0x2067).entry(0x2000, 0x400000e7).entry(0x2008, 0x400000e7);
    g.start("4-level", 0x1000);
    log(1);
    g.write(3, 0x403000, 1);
    log(0);
    g.read(3, 0x40405000);
    assert.deepEqual(leaves(g).slice(1), [0, 1]);
    assert.equal(replaced(), 0);
    log(1);
    assert.equal(replaced(), 1);
  });
});
