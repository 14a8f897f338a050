import assert from "node:assert/strict";
import { walkGuest } from "../../../src/kvm/mmu/walk-guest";
import { ACCESS, CR0, CR4 } from "../../../src/x86";
import type { Guest } from "../guest";
import { firstGuest } from "../tables";

const USER = ACCESS.user;
const WRITE = ACCESS.write;
/** AD and WD of a key in PKRU. */
const accessDisable = (key: number): number => 1 << (2 * key);
const writeDisable = (key: number): number => 2 << (2 * key);

/**
 * KVM's own walk of the guest's tables. CPUID offers a guest no keys under shadow paging, as in KVM:
 * PKRU changes without an exit, and no spte holds a key. The walk has them for two-dimensional paging.
 */
describe("protection keys in the software walk", () => {
  const KEY = 5;
  const keyed = (flags: bigint): Guest => {
    const g = firstGuest().entry(0x4028, 0x9000n | flags | (BigInt(KEY) << 59n));
    g.cpu.cr4 |= CR4.PKE;
    g.vcpu.restored();
    return g.enter();
  };
  const error = (g: Guest, access: number): number | undefined => {
    g.cpu.cpl = access & USER ? 3 : 0;
    const walk = walkGuest(g.vm.core.state, g.vcpu.mmu, 0x5000n, access);
    return walk.kind === "fault" ? walk.error : undefined;
  };

  it("F-029 AD refuses user pages to all data accesses, WD writes; fetches have no key", () => {
    const g = keyed(0x67n);
    g.cpu.pkru = accessDisable(KEY);
    assert.deepEqual(
      [0, WRITE, USER, USER | WRITE, USER | ACCESS.fetch].map((access) => error(g, access)),
      [0x21, 0x23, 0x25, 0x27, undefined],
    );
    g.cpu.pkru = writeDisable(KEY);
    assert.deepEqual(
      [0, WRITE, USER, USER | WRITE].map((access) => error(g, access)),
      [undefined, 0x23, undefined, 0x27],
    );
    g.cpu.pkru = ~(3 << (2 * KEY));
    assert.equal(error(g, USER | WRITE), undefined);
  });

  it("F-029 WD does not stop the supervisor without CR0.WP", () => {
    const g = keyed(0x67n);
    g.cpu.cr0 &= ~CR0.WP;
    g.vcpu.restored();
    g.cpu.pkru = writeDisable(KEY);
    assert.deepEqual([error(g, WRITE), error(g, USER | WRITE)], [undefined, 0x27]);
  });

  it("F-029 a supervisor page has no key", () => {
    const g = keyed(0x63n);
    g.cpu.pkru = accessDisable(KEY);
    assert.deepEqual([error(g, 0), error(g, USER)], [undefined, 5]);
  });
});
