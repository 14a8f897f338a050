import assert from "node:assert/strict";
import { OF_2012 } from "../../../src/kvm";
import { checked } from "../checked";
import { Guest } from "../guest";
import { firstGuest, sp } from "../tables";

const WIDTHS = [36, 40, 46, 48, 51, 52];
const bit = (n: number): bigint => 1n << BigInt(n);

describe("MAXPHYADDR", () => {
  for (const physicalBits of WIDTHS) {
    const options = { ...checked, features: { physicalBits } };
    const top = bit(physicalBits - 1);

    it(`F-001 INV-V-02 ${physicalBits} bits: the bits above are reserved in every entry of a 4-level guest`, () => {
      for (const [at, entry] of [
        [0x1000, 0x2007n],
        [0x2000, 0x3007n],
        [0x3000, 0x4007n],
        [0x4028, 0x9007n],
      ] as const)
        for (let n = physicalBits; n < 52; n++) {
          const g = firstGuest(options)
            .entry(at, entry | bit(n))
            .enter();
          assert.deepEqual(g.read(3, 0x5000), { kind: "fault", error: 0xd, cr2: 0x5000n });
        }
    });

    it(`F-001 INV-V-02 ${physicalBits} bits: the highest one is an address`, () => {
      const g = firstGuest(options)
        .entry(0x4028, 0x9067n | top)
        .enter();
      const device = { kind: "device", gpa: Number(top) + 0x9000 };
      assert.deepEqual(g.read(3, 0x5000), device);
      assert.deepEqual(g.read(3, 0x5000), device);
      const table = firstGuest(options)
        .entry(0x3000, 0x4007n | top)
        .enter();
      assert.deepEqual(table.read(3, 0x5000), { kind: "fault", error: 4, cr2: 0x5000n });
    });

    it(`F-017 ${physicalBits} bits: reserved bits of PDPTEs and of PAE entries follow`, () => {
      const pae = (): Guest => new Guest(options).entry(0x1000, 0x2001).entry(0x2000, 0x3067);
      for (let n = physicalBits; n < 63; n++) {
        const g = pae()
          .entry(0x3000, 0x9067n | bit(n))
          .start("PAE", 0x1000);
        assert.deepEqual(g.read(3, 0), { kind: "fault", error: 0xd, cr2: 0n });
        g.entry(0x1008, 1n | bit(n));
        assert.deepEqual(g.first.movCr3(0x1000n, false), { vector: 13, error: 0 });
      }
      const g = pae()
        .entry(0x3000, 0x9067n | top)
        .start("PAE", 0x1000);
      assert.deepEqual(g.read(3, 0), { kind: "device", gpa: Number(top) + 0x9000 });
      g.entry(0x1008, 1n | top);
      assert.equal(g.first.movCr3(0x1000n, false), undefined);
    });
  }

  it("F-098 F-105 a gfn beyond the host's width, and a host of 52 bits, have no mmio spte", () => {
    for (const [hostPhysicalBits, gpa, marks] of [
      [46, 1n << 45n, 1],
      [46, 1n << 46n, 0],
      [52, 0xd0000000n, 0],
      [51, 1n << 50n, 1],
    ] as const) {
      const g = firstGuest({ ...checked, hostPhysicalBits, features: { physicalBits: 52 } });
      g.entry(0x4028, gpa | 0x67n).enter();
      for (let again = 0; again < 3; again++)
        assert.deepEqual(g.read(3, 0x5000), { kind: "device", gpa: Number(gpa) });
      assert.equal(g.vcpu.mmu.stats.pf_mmio_spte_created, marks);
      assert.equal((g.spte(sp(3, 5)) >> 51n) & 1n, BigInt(marks));
    }
  });

  it("F-098 F-105 a gfn with address bits that an EPT mark of 2012 takes has no mmio spte", () => {
    for (const [gpa, marks] of [
      [1n << 48n, 1],
      [1n << 49n, 0],
      [1n << 51n, 0],
    ] as const) {
      const g = firstGuest({
        ...checked,
        paging: "ept",
        profile: OF_2012,
        hostPhysicalBits: 52,
        features: { physicalBits: 52 },
      });
      g.entry(0x4028, gpa | 0x67n).enter();
      for (let again = 0; again < 3; again++)
        assert.deepEqual(g.read(3, 0x5000), { kind: "device", gpa: Number(gpa) });
      assert.equal(g.vcpu.mmu.stats.pf_mmio_spte_created, marks);
    }
  });
});
