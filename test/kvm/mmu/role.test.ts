import assert from "node:assert/strict";
import { accessText, childRole, describeRole } from "../../../src/kvm";
import { cpuRole, shadowRootRole } from "../../../src/kvm/mmu/cpu-role";
import { CR0, CR4, EFER } from "../../../src/x86";

const LONG = { cr0: CR0.PE | CR0.PG | CR0.WP, cr4: CR4.PAE, efer: EFER.LMA | EFER.NX };
const root = (change: Partial<typeof LONG>): string =>
  shadowRootRole(cpuRole({ ...LONG, ...change })).toString(16);
const noWp = LONG.cr0 & ~CR0.WP;

describe("roles", () => {
  it("F-036 F-056 F-057 F-058 F-059 F-060 the registers make the root role", () => {
    assert.equal(root({}), "3704");
    assert.equal(root({ cr0: noWp }), "1704");
    assert.equal(root({ cr0: noWp, cr4: CR4.PAE | CR4.SMEP }), "5704");
    assert.equal(root({ cr0: noWp, cr4: CR4.PAE | CR4.SMAP }), "9704");
    assert.equal(root({ cr4: CR4.PAE | CR4.SMEP | CR4.SMAP }), "3704");
    assert.equal(root({ cr4: CR4.PAE | CR4.LA57 }), "3705");
    assert.equal(root({ cr0: CR0.PE }), "1783");
    assert.equal(root({ efer: EFER.NX }), "3703");
    assert.equal(root({ cr4: 0n, efer: 0n }), "3713");
  });

  it("F-057 a guest without EFER.NX has pages of its own, as bit 63 is reserved for it", () => {
    assert.equal(root({ efer: EFER.LMA }), "2704");
  });

  it("CR4.PSE, SMEP, SMAP and LMA are told apart by the extended role", () => {
    const ext = (cr4: bigint): number => cpuRole({ ...LONG, cr4: CR4.PAE | cr4 }).ext;
    const all = [0n, CR4.PSE, CR4.SMEP, CR4.SMAP, CR4.PKE, CR4.LA57].map(ext);
    assert.equal(new Set(all).size, all.length);
  });

  it("F-048 F-049 F-054 a child is one level down, with the access it is given", () => {
    assert.equal(childRole(0x3704, false, 7, 0).toString(16), "3703");
    assert.equal(childRole(0x3703, false, 3, 9).toString(16), "3302");
    assert.equal(childRole(0x3702, true, 5, 1).toString(16), "3581");
  });

  it("F-052 F-053 with 4-byte gptes the odd entry maps the second half of the guest table", () => {
    assert.equal(childRole(0x3712, false, 7, 3).toString(16), "3731");
    assert.equal(childRole(0x3772, false, 7, 2).toString(16), "3711");
    assert.equal(childRole(0x3732, true, 7, 3).toString(16), "3781");
  });

  it("is printed as KVM prints it", () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7].map(accessText), [
      "---",
      "--x",
      "w--",
      "w-x",
      "-u-",
      "-ux",
      "wu-",
      "wux",
    ]);
    const fields = describeRole(0x3581).filter(({ value }) => value !== 0);
    assert.deepEqual(
      fields.map(({ field, value }) => [field.id, value]),
      [
        ["level", 1],
        ["direct", 1],
        ["access", 5],
        ["efer_nx", 1],
        ["cr0_wp", 1],
      ],
    );
  });
});
