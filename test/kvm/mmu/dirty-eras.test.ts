import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { MANUAL_PROTECT, MODERN, OF_2010, OF_2012, type Profile } from "../../../src/kvm";
import { gfn } from "../../../src/x86";
import { checked } from "../checked";
import type { Guest } from "../guest";
import { HUGE, hugeGuest } from "../huge-guest";
import { sp } from "../tables";
import { Copy, dirtyPages } from "./dirty-oracle";

const OLD: readonly Profile[] = [OF_2010, OF_2012];
const guestOf = (profile: Profile): Guest => hugeGuest({ ...checked, profile });
const W = 2n;
/** Entry of the page that shadows a guest table. */
const leaf = (g: Guest, table: number, index: number): bigint =>
  g.spte(g.vm.pagesOf(gfn(table))[0]!.spt + 8 * index);
/** Maps the page of slot 3, at the end of memory, at gva 0x400000. */
const secondSlot = (g: Guest): void => {
  assert.equal(g.setSlot(3, 0x8000, 0x10, GUEST_HVA + 0x800000), "create");
  g.entry(0x3010, 0x6067).entry(0x6000, 0x8000067);
  g.write(3, 0x400000, 1);
};

describe("the dirty log of older kernels", () => {
  for (const profile of OLD) {
    it(`F-071 in ${profile.era} only pages that note the slot lose W`, () => {
      const g = guestOf(profile);
      secondSlot(g);
      g.write(3, 0x5000, 1);
      g.setSlot(3, 0x8000, 0x10, GUEST_HVA + 0x800000, 1);
      assert.equal(leaf(g, 6, 0) & W, 0n);
      // A page that maps slot 0 alone is skipped.
      assert.equal(leaf(g, 4, 5) & W, W);
    });

    it(`F-071 in ${profile.era} a page that noted the slot loses W in all its leaves`, () => {
      const g = guestOf(profile);
      secondSlot(g);
      g.entry(0x6008, 0x9067);
      g.write(3, 0x401000, 1);
      g.setSlot(3, 0x8000, 0x10, GUEST_HVA + 0x800000, 1);
      assert.equal(leaf(g, 6, 1) & W, 0n);
      assert.equal(g.write(3, 0x401000, 2).kind, "ok");
    });

    it(`INV-L-04 in ${profile.era} a huge leaf goes when logging starts, and stays away when it stops`, () => {
      const g = guestOf(profile);
      g.write(3, 0x203000, 1);
      assert.equal(g.vm.stats.pages_2m, 1);
      g.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
      assert.equal(g.spte(HUGE), 0n);
      g.write(3, 0x203000, 2);
      const leaves = g.vm.stats.pages_4k;
      g.setSlot(0, 0, 0x1000, GUEST_HVA, 0);
      assert.equal(g.vm.stats.pages_4k, leaves);
    });

    it(`${profile.era} has neither manual protection nor rings`, () => {
      const { vm } = guestOf(profile);
      assert.equal(vm.setManualProtect(MANUAL_PROTECT.enable)?.errno, "EINVAL");
      assert.match(vm.enableDirtyRing(0x1000)?.reason ?? "", /modern era/);
    });
  }

  for (const profile of [...OLD, MODERN])
    it(`F-166 INV-D-01 in ${profile.era} taking the log protects ${profile.dirtyLogGrain === "slot" ? "the slot" : "the frames that were dirty"}`, () => {
      const g = guestOf(profile);
      g.entry(0x4030, 0xa067);
      g.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
      const copy = new Copy(g);
      g.write(3, 0x5000, 1);
      g.write(3, 0x6000, 1);
      copy.take();
      g.write(3, 0x5000, 2);
      const other = sp(3, 6);
      assert.equal(g.spte(other) & W, 0n);
      g.write(3, 0x6000, 2);
      copy.take();
      assert.deepEqual(copy.different(), []);
      g.write(3, 0x5000, 3);
      g.vm.slots[0]!.dirtyBitmap![0]! &= ~0x200;
      g.vm.slots[0]!.dirtyBitmap![4] = 1;
      assert.deepEqual(dirtyPages(g), [0x80]);
      const kept = profile.dirtyLogGrain === "slot" ? 0n : W;
      assert.equal(g.spte(sp(3, 5)) & W, kept);
    });
});
