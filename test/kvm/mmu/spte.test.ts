import assert from "node:assert/strict";
import { spteFormat, sptePfn, spteValue } from "../../../src/kvm";
import { AD_KIND } from "../../../src/kvm/mmu/spte-format";

const x86 = spteFormat("x86", "modern", 46);
const ept = spteFormat("ept", "modern", 46);
const x86Of2012 = spteFormat("x86", "2012", 46);
const eptOf2012 = spteFormat("ept", "2012", 46);

describe("sptes", () => {
  it("F-105 F-142 an mmio spte holds gfn, access and 19 bits of the generation", () => {
    const lo = x86.mmioLo(0xd0000, 6, 0x12a);
    const hi = x86.mmioHi(0xd0000, 0x12a);
    assert.equal(spteValue(lo, hi), 0x00180000_d0000157n);
    assert.equal(x86.mmioGfn(lo, hi), 0xd0000);
    assert.equal(x86.mmioAccess(lo), 6);
    assert.equal(x86.mmioGeneration(lo, hi), 0x12a);
    assert.ok(x86.isMmio(lo, hi));
    assert.ok(!x86.isPresent(lo, hi));
  });

  it("keeps a generation of all 19 bits and a gfn of 39", () => {
    const [gfn, gen] = [2 ** 39 - 3, 2 ** 19 - 1];
    assert.equal(x86.mmioGeneration(x86.mmioLo(gfn, 0, gen), x86.mmioHi(gfn, gen)), gen);
    assert.equal(x86.mmioGfn(x86.mmioLo(gfn, 0, gen), x86.mmioHi(gfn, gen)), gfn);
  });

  it("F-154 is volatile where the fast path or the hardware may change it", () => {
    const volatile = [0xe65, 0xe27].map((lo) => x86.isVolatile(lo, 1));
    const quiet = [0xe67, 0xa25, 0x27, 0x17].map((lo) => x86.isVolatile(lo, 1));
    assert.deepEqual(volatile, [true, true]);
    assert.deepEqual(quiet, [false, false, false, false]);
  });

  it("F-154 an entry without A and D bits is volatile whatever it grants: its access may be taken and given", () => {
    assert.ok(ept.isVolatile(0x805, AD_KIND.disabled | 1));
    assert.ok(!ept.isVolatile(0x905, AD_KIND.enabled | 1));
    assert.ok(ept.logsDirty(AD_KIND.enabled | 1) && !ept.logsDirty(AD_KIND.disabled | 1));
  });

  it("is shown with its flags by name, those of its level only", () => {
    assert.equal(x86.accessText(0x100009e67n), "rwxu");
    assert.equal(x86.accessText(0x8000000100009a21n), "r---");
    assert.deepEqual(x86.flags(0x100009a25n, 1), ["p", "u", "a", "host-w", "mmu-p"]);
    assert.ok(!x86.flags(0x100009aa5n, 1).includes("ps"), "bit 7 of a small leaf is another");
    assert.deepEqual(x86.flags(0x100200ee7n, 2).slice(-4), ["ps", "host-w", "mmu-w", "mmu-p"]);
    assert.deepEqual(x86.flags(0x200001827n, 2), ["p", "w", "u", "a", "mmu-p"]);
    assert.deepEqual(
      ept.flags(0x8600000100009b77n, 1).filter((flag) => /^(wb|mt\d)$/.test(flag)),
      ["wb"],
      "three bits are one memory type",
    );
    assert.equal(sptePfn(0x00009a25, 0x80000001), 0x100009);
  });

  it("F-105 an EPT mmio spte is a misconfiguration and keeps no access bits", () => {
    const lo = ept.mmioLo(0xd0000, 6, 0x12a);
    const hi = ept.mmioHi(0xd0000, 0x12a);
    assert.equal(spteValue(lo, hi), 0x00100000_d0000156n);
    assert.equal(ept.mmioGfn(lo, hi), 0xd0000);
    assert.equal(ept.mmioGeneration(lo, hi), 0x12a);
    assert.ok(ept.isMmio(lo, hi) && !ept.isPresent(lo, hi));
  });

  it("F-148 F-149 an EPT leaf keeps its software bits in the upper half", () => {
    const [lo, hi] = [0x9b77, 0x86000001];
    assert.ok(ept.isPresent(lo, hi) && ept.isMmuWritable(lo, hi) && ept.isHostWritable(lo, hi));
    assert.ok(ept.isExecutable(lo, hi) && ept.isAccessed(lo) && ept.isDirty(lo, hi));
    assert.ok(!ept.isDirty(lo & ~0x200, hi), "writable, not written");
    assert.ok(ept.isDirty(lo & ~0x200, hi | 0x100000), "without the D bit W stands for it");
    assert.ok(ept.losesWrite(lo, hi, lo & ~2, hi & ~0x04000000));
    assert.ok(!ept.losesWrite(lo, hi, lo & ~2, hi));
    assert.equal(ept.accessText(0x8600000100009b77n), "rwx");
  });

  it("F-154 F-155 in 2012 an entry is volatile until used, and losing W takes a flush", () => {
    assert.ok(x86Of2012.isVolatile(0x9c67, 1));
    assert.ok(x86Of2012.isVolatile(0x9405, 1));
    assert.ok(!x86Of2012.isVolatile(0x9425, 1));
    // Without A bits, and without W to come back, there is nothing that changes by itself.
    assert.ok(!eptOf2012.isVolatile(0x9077, 1));
    assert.ok(x86Of2012.losesWrite(0x9c67, 1, 0x9c65, 1));
    assert.ok(!x86.losesWrite(0x9e67, 1, 0x9e65, 1));
  });

  it("F-105 F-110 an mmio spte of 2012 sets every reserved address bit; 2010 has none", () => {
    const value = spteValue(x86Of2012.mmioLo(0xd0, 6, 9), x86Of2012.mmioHi(0xd0, 9));
    assert.equal(value, 0x7fffc000_000d0007n);
    assert.equal(x86Of2012.mmioGfn(0xd0007, 0x7fffc000), 0xd0);
    assert.equal(
      spteValue(eptOf2012.mmioLo(0xd0, 6, 9), eptOf2012.mmioHi(0xd0, 9)),
      0x01fe0000_000d0006n,
    );
    const x86Of2010 = spteFormat("x86", "2010", 46);
    assert.ok(!x86Of2010.marksMmio && !x86Of2010.isMmio(0xd0007, 0x7fffc000));
    assert.ok(!spteFormat("x86", "modern", 52).marksMmio);
  });
});
