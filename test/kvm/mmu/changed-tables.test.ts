import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { MODERN, OF_2010, OF_2012 } from "../../../src/kvm";
import { gfn, gpa, hva } from "../../../src/x86";
import { checked } from "../checked";
import { Guest } from "../guest";

/** An entry of the walk, and what another vCPU puts there between the walk and the lock. */
interface Change {
  readonly name: string;
  readonly at: number;
  readonly value: number;
  readonly size: 4 | 8;
}

/** Both ways end in a page of their own: the old one in gfn 9, the new one in gfn 0xa. */
const long = (): Guest => {
  const g = new Guest(checked).entry(0x9000, 1).entry(0xa000, 2);
  g.entry(0x1000, 0x2067).entry(0x2000, 0x3067).entry(0x3000, 0x4067).entry(0x4028, 0x9067);
  g.entry(0x12000, 0x13067).entry(0x13000, 0x14067).entry(0x14028, 0xa067);
  return g.start("4-level", 0x1000);
};
const short = (): Guest => {
  const g = new Guest(checked).entry(0x9000, 1).entry(0xa000, 2);
  g.entry32(0x1000, 0x2067).entry32(0x2014, 0x9067).entry32(0x12014, 0xa067);
  return g.start("32-bit", 0x1000);
};
const pae = (): Guest => {
  const g = new Guest(checked).entry(0x9000, 1).entry(0xa000, 2).entry(0x1000, 0x3001);
  g.entry(0x3000, 0x4067).entry(0x4028, 0x9067).entry(0x14028, 0xa067);
  return g.start("PAE", 0x1000);
};

const CHANGES: readonly (readonly [() => Guest, Change])[] = [
  [long, { name: "PML4E of a 4-level guest", at: 0x1000, value: 0x12067, size: 8 }],
  [long, { name: "PDPTE of a 4-level guest", at: 0x2000, value: 0x13067, size: 8 }],
  [long, { name: "PDE of a 4-level guest", at: 0x3000, value: 0x14067, size: 8 }],
  [long, { name: "PTE of a 4-level guest", at: 0x4028, value: 0xa067, size: 8 }],
  [short, { name: "PDE of a 32-bit guest", at: 0x1000, value: 0x12067, size: 4 }],
  [short, { name: "PTE of a 32-bit guest", at: 0x2014, value: 0xa067, size: 4 }],
  [pae, { name: "PDE of a PAE guest", at: 0x3000, value: 0x14067, size: 8 }],
  [pae, { name: "PTE of a PAE guest", at: 0x4028, value: 0xa067, size: 8 }],
];

describe("a table that changes between the walk and the lock", () => {
  for (const [build, { name, at, value, size }] of CHANGES)
    it(`F-104 INV-U-07 ${name}: the access is tried again, with what the entry says now`, () => {
      const g = build();
      const other = g.addVcpu();
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, value, true);
      let changed = false;
      g.trace.on("point", ({ fields }) => {
        if (fields.point !== "P2" || changed) return;
        changed = true;
        other.vcpu.emulatedStore(gpa(at), bytes.subarray(0, size));
      });
      const { pf_taken } = g.vcpu.mmu.stats;
      assert.deepEqual(g.read(0, 0x5000, 4), { kind: "ok", value: 2n, emulated: false });
      assert.equal(g.vcpu.mmu.stats.pf_taken, pf_taken + 2);
    });
});

describe("a table whose slot goes between the walk and the lock", () => {
  for (const profile of [MODERN, OF_2012, OF_2010])
    it(`F-104 INV-U-07 ${profile.era}: it is not shadowed`, () => {
      const g = new Guest({ ...checked, profile }).entry(0x9000, 1).entry(0x1000, 0x2067);
      assert.equal(g.setSlot(1, 0x100000, 0x10, hva(GUEST_HVA + 0x800000)), "create");
      g.entry(0x2000, 0x3067).entry(0x3000, 0x100000067).entry(0x100000028, 0x9067);
      g.start("4-level", 0x1000);
      let gone = false;
      g.trace.on("point", ({ fields }) => {
        if (fields.point !== "P2" || gone) return;
        gone = true;
        assert.equal(g.setSlot(1, 0x100000, 0, hva(GUEST_HVA + 0x800000)), "delete");
      });
      // A table that cannot be read has no entry.
      assert.deepEqual(g.read(3, 0x5000), { kind: "fault", error: 4, cr2: 0x5000n });
      assert.ok(gone);
    });
});

describe("a table that changed through another slot over the same host memory", () => {
  it("INV-R-07 its old shadow loses a parent when a fault finds the new one", () => {
    const g = long().entry(0x14030, 0xa067);
    // Write protection follows the gfn: a store by way of another is not seen.
    g.setSlot(1, 0x100000, 0x1000, GUEST_HVA);
    g.read(0, 0x5000);
    const [old] = g.vm.pagesOf(gfn(4));
    assert.notEqual(old!.parentPtes, 0);
    g.entry(0x100003000, 0x14067);
    assert.deepEqual(g.read(0, 0x6000), { kind: "ok", value: 2n, emulated: false });
    assert.equal(old!.parentPtes, 0);
    assert.notEqual(g.vm.pagesOf(gfn(0x14))[0]!.parentPtes, 0);
  });
});
