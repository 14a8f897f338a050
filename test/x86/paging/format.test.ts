import assert from "node:assert/strict";
import {
  entryIndex,
  type Format,
  isCanonical,
  longFormat,
  paeFormat,
  pdpteReserved,
  reservedAt,
  reservedMasks,
  twoLevelFormat,
} from "../../../src/x86";
import { features } from "./tables";

const index = (format: Format, level: number, va: bigint) =>
  entryIndex(format, level, Number(va & 0xffffffffn), Number(va >> 32n));

describe("entryIndex", () => {
  it("F-018 F-019 cuts a linear address into nine-bit indices", () => {
    const va = 0x0155_8040_3020_1000n;
    for (let level = 1; level <= 5; level++)
      assert.equal(index(longFormat(5), level, va), Number((va >> BigInt(3 + 9 * level)) & 511n));
  });

  it("takes the bits on both sides of the 32-bit seam for level 3", () => {
    assert.equal(index(longFormat(4), 3, 0x7f_c000_0000n), 511);
    assert.equal(index(longFormat(4), 3, 0x40_0000_0000n), 256);
  });

  it("F-016 F-017 32-bit formats use ten bits, or two, nine and nine", () => {
    assert.deepEqual(
      [2, 1].map((l) => index(twoLevelFormat(true), l, 0xffc0_1000n)),
      [1023, 1],
    );
    assert.deepEqual(
      [3, 2, 1].map((l) => index(paeFormat(), l, 0xffe0_1000n)),
      [3, 511, 1],
    );
  });
});

describe("isCanonical", () => {
  it("F-030 wants the upper bits equal to the highest translated one", () => {
    assert.ok(isCanonical(0x7fff_ffff_ffffn, 4));
    assert.ok(!isCanonical(0x8000_0000_0000n, 4));
    assert.ok(isCanonical(0x8000_0000_0000n, 5));
    assert.ok(isCanonical(0xffff_8000_0000_0000n, 4));
    assert.ok(!isCanonical(0xfffe_8000_0000_0000n, 4));
    assert.ok(!isCanonical(0x0100_0000_0000_0000n, 5));
  });
});

describe("reserved bits", () => {
  const mask = (format: Format, level: number, bit7: number, change = {}) => {
    const masks = reservedMasks(format, { ...features, nx: true, ...change });
    const at = reservedAt(level, bit7);
    return (BigInt(masks[at + 1] ?? 0) << 32n) | BigInt(masks[at] ?? 0);
  };
  const M = 0x000f_c000_0000_0000n;

  it("F-023 32-bit: bits 21:17 of a 4 MiB PDE, and none without PSE", () => {
    assert.equal(mask(twoLevelFormat(true), 2, 1), 0x3e0000n);
    assert.equal(mask(twoLevelFormat(true), 2, 0), 0n);
    assert.equal(mask(twoLevelFormat(false), 2, 1), 0n);
    assert.equal(mask(twoLevelFormat(true), 2, 1, { pse36: false }), 0x3fe000n);
  });

  it("PAE: bits 62:52 too, and NX without EFER.NX", () => {
    const upper = M | 0x7ff0_0000_0000_0000n;
    assert.equal(mask(paeFormat(), 1, 1), upper);
    assert.equal(mask(paeFormat(), 2, 1), upper | 0x1fe000n);
    assert.equal(mask(paeFormat(), 2, 0, { nx: false }), upper | (1n << 63n));
    assert.equal(mask(paeFormat(), 3, 0), 0n, "registers are checked when loaded");
    assert.equal(pdpteReserved(46), 0xffff_c000_0000_01e6n);
  });

  it("F-024 F-028 long: PS above level 3, 1 GiB pages by CPUID, NX by EFER, bit 8 on AMD", () => {
    assert.equal(mask(longFormat(4), 1, 1), M, "bit 7 is PAT in a PTE");
    assert.equal(mask(longFormat(4), 2, 1), M | 0x1fe000n);
    assert.equal(mask(longFormat(4), 3, 1), M | 0x3fffe000n);
    assert.equal(mask(longFormat(4), 3, 1, { gigabytePages: false }) & 0x80n, 0x80n);
    assert.equal(mask(longFormat(5), 5, 0), M | 0x80n);
    assert.equal(mask(longFormat(5), 4, 1, { amd: true }), M | 0x180n);
    assert.equal(mask(longFormat(4), 1, 0, { nx: false }), M | (1n << 63n));
    assert.equal(mask(longFormat(4), 1, 0, { physicalBits: 52 }), 0n);
  });
});
