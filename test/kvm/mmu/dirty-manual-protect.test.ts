import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { MANUAL_PROTECT } from "../../../src/kvm";
import { checked } from "../checked";
import type { Guest } from "../guest";
import { sp, touchedGuest } from "../tables";

const PAGES = 0x1000;
const INITIALLY = MANUAL_PROTECT.enable | MANUAL_PROTECT.initiallySet;

function logging(flags: number): Guest {
  const g = touchedGuest(checked);
  assert.equal(g.vm.setManualProtect(flags), undefined);
  assert.equal(g.setSlot(0, 0, PAGES, GUEST_HVA, 1), "flags");
  return g;
}
const log = (g: Guest): Uint32Array => {
  const bitmap = g.vm.getDirtyLog(0);
  assert.ok(bitmap instanceof Uint32Array);
  return bitmap;
};
/** Clears these bits of the word of 64 pages at `firstPage`. */
function clear(g: Guest, firstPage: number, lo: number, hi = 0, numPages = 64): string | undefined {
  const bitmap = new Uint32Array([lo, hi]);
  const outcome = g.vm.clearDirtyLog({ slot: 0, firstPage, numPages, bitmap });
  g.stepped("clear dirty log");
  return outcome?.errno;
}
const LEAF = sp(3, 5);

describe("manual protection of the dirty log", () => {
  it("G13d F-166 get copies and stays, clear clears and protects", () => {
    const g = logging(MANUAL_PROTECT.enable);
    assert.equal(g.spte(LEAF), 0x100009e65n);
    g.write(3, 0x5000, 1);
    const flushes = g.vm.stats.remote_tlb_flush;
    assert.equal(log(g)[0], 0x200);
    assert.equal(log(g)[0], 0x200);
    assert.equal(g.spte(LEAF), 0x100009e67n);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes);
    assert.equal(clear(g, 0, 0x200), undefined);
    assert.equal(g.spte(LEAF), 0x100009e65n);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes + 1);
    assert.equal(log(g)[0], 0);
    g.write(3, 0x5000, 2);
    assert.equal(log(g)[0], 0x200);
  });

  it("only bits that are set are cleared, and only their frames protected", () => {
    const g = logging(MANUAL_PROTECT.enable);
    g.entry(0x4030, 0xb067);
    g.write(3, 0x5000, 1);
    g.write(3, 0x6000, 1);
    const flushes = g.vm.stats.remote_tlb_flush;
    assert.equal(clear(g, 0, 0x1000), undefined);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes, "nothing was set there");
    assert.equal(clear(g, 0, 0x800), undefined);
    assert.equal(log(g)[0]! & 0xa00, 0x200);
    assert.equal(g.spte(LEAF), 0x100009e67n);
    assert.equal(g.spte(sp(3, 6)), 0x10000be65n);
  });

  it("F-166 both halves of a word are cleared, each by its own bits", () => {
    const g = logging(MANUAL_PROTECT.enable);
    g.entry(0x4030, 0x25067);
    g.write(3, 0x6000, 1);
    assert.equal(log(g)[1], 0x20);
    const range = { slot: 0, firstPage: 0, numPages: 64, bitmap: new Uint32Array([0, 0x60]) };
    assert.equal(g.vm.clearDirtyLog(range), undefined);
    assert.equal(log(g)[1], 0);
    assert.equal(g.spte(sp(3, 6)) & 2n, 0n);
  });

  it("F-166 the range: whole words, inside the slot, or up to its end", () => {
    const g = touchedGuest(checked);
    g.setSlot(0, 0, 0, GUEST_HVA);
    assert.equal(g.setSlot(0, 0, 100, GUEST_HVA, 1), "create");
    const bitmap = new Uint32Array(4);
    const tried = (firstPage: number, numPages: number) =>
      g.vm.clearDirtyLog({ slot: 0, firstPage, numPages, bitmap })?.errno;
    assert.equal(tried(0, 64), undefined);
    assert.equal(tried(0, 100), undefined);
    assert.equal(tried(64, 36), undefined);
    assert.equal(tried(32, 64), "EINVAL");
    assert.equal(tried(0, 63), "EINVAL");
    assert.equal(tried(64, 64), "EINVAL");
    assert.equal(tried(128, 0), "EINVAL");
    assert.equal(tried(0, 128), "EINVAL");
    const other = (slot: number) => g.vm.clearDirtyLog({ slot, firstPage: 0, numPages: 0, bitmap });
    assert.equal(other(1)?.errno, "ENOENT");
    assert.equal(other(2 << 16)?.errno, "EINVAL");
    const got = g.vm.getDirtyLog(7 << 16);
    assert.ok(!(got instanceof Uint32Array));
    assert.equal(got.errno, "EINVAL");
  });

  it("what may be asked of the capability", () => {
    const { vm } = touchedGuest();
    assert.equal(vm.setManualProtect(INITIALLY), undefined);
    assert.equal(vm.setManualProtect(0), undefined);
    assert.equal(vm.setManualProtect(MANUAL_PROTECT.initiallySet)?.errno, "EINVAL");
    assert.equal(vm.setManualProtect(4)?.errno, "EINVAL");
  });

  it("initially all set: nothing is protected until it is cleared, and no bit lies beyond the slot", () => {
    const g = touchedGuest(checked);
    g.vm.setManualProtect(INITIALLY);
    const flushes = g.vm.stats.remote_tlb_flush;
    assert.equal(g.setSlot(0, 0, PAGES, GUEST_HVA, 1), "flags");
    assert.equal(g.vm.stats.remote_tlb_flush, flushes);
    assert.equal(g.spte(LEAF), 0x100009e67n);
    assert.ok(log(g).every((word) => word === 0xffffffff));
    assert.equal(clear(g, 0, 0x200), undefined);
    assert.equal(g.spte(LEAF), 0x100009e65n);
    assert.equal(log(g)[0], 0xfffffdff);

    g.vm.setMemoryRegion({
      slot: 1,
      flags: 1,
      guestPhysAddr: 0x8000000 as never,
      memorySize: 100 * 4096,
      userspaceAddr: GUEST_HVA,
    });
    assert.deepEqual(
      g.vm.getDirtyLog(1),
      new Uint32Array([0xffffffff, 0xffffffff, 0xffffffff, 0xf]),
    );
  });

  it("the mode is saved, half way between get and clear", () => {
    const g = logging(MANUAL_PROTECT.enable);
    g.write(3, 0x5000, 1);
    const saved = structuredClone(g.vm.save());
    g.vm.setManualProtect(0);
    log(g);
    g.vm.restore(saved);
    assert.equal(log(g)[0], 0x200);
    assert.equal(log(g)[0], 0x200);
  });
});
