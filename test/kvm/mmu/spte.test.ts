import assert from "node:assert/strict";
import {
  isMmio,
  isPresent,
  isVolatile,
  mmioAccess,
  mmioGeneration,
  mmioGfn,
  mmioHi,
  mmioLo,
  spteAccessText,
  spteFlags,
  sptePfn,
  spteValue,
} from "../../../src/kvm";

describe("sptes", () => {
  it("F-105 F-142 an mmio spte holds gfn, access and 19 bits of the generation", () => {
    const lo = mmioLo(0xd0000, 6, 0x12a);
    const hi = mmioHi(0xd0000, 0x12a);
    assert.equal(spteValue(lo, hi), 0x00180000_d0000157n);
    assert.equal(mmioGfn(lo, hi), 0xd0000);
    assert.equal(mmioAccess(lo), 6);
    assert.equal(mmioGeneration(lo, hi), 0x12a);
    assert.ok(isMmio(lo, hi));
    assert.ok(!isPresent(lo));
  });

  it("keeps a generation of all 19 bits and a gfn of 39", () => {
    const [gfn, gen] = [2 ** 39 - 3, 2 ** 19 - 1];
    assert.equal(mmioGeneration(mmioLo(gfn, 0, gen), mmioHi(gfn, gen)), gen);
    assert.equal(mmioGfn(mmioLo(gfn, 0, gen), mmioHi(gfn, gen)), gfn);
  });

  it("F-154 is volatile where the fast path or the hardware may change it", () => {
    const volatile = [0xe65, 0xe27].map((lo) => isVolatile(lo));
    const quiet = [0xe67, 0xa25, 0x27, 0x17].map((lo) => isVolatile(lo));
    assert.deepEqual(volatile, [true, true]);
    assert.deepEqual(quiet, [false, false, false, false]);
  });

  it("is shown with its flags by name, those of its level only", () => {
    assert.equal(spteAccessText(0x100009e67n), "rwxu");
    assert.equal(spteAccessText(0x8000000100009a21n), "r---");
    assert.deepEqual(spteFlags(0x100009a25n, 1), ["p", "u", "a", "host-w", "mmu-p"]);
    assert.deepEqual(spteFlags(0x100200ee7n, 2).slice(-4), ["ps", "host-w", "mmu-w", "mmu-p"]);
    assert.deepEqual(spteFlags(0x200001827n, 2), ["p", "w", "u", "a", "mmu-p"]);
    assert.equal(sptePfn(0x00009a25, 0x80000001), 0x100009);
  });
});
