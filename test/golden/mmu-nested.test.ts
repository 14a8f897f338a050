import assert from "node:assert/strict";
import { gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import { type GuestOptions, KVMMMU } from "../kvm/guest";
import { type NestedGuest, nestedGuest } from "../kvm/nested/nested-guest";
import { sp } from "../kvm/tables";

const FAULTS = [
  "kvm_page_fault",
  "kvm_nested_page_fault",
  "kvm_nested_vmexit_inject",
  "kvm_emulate_insn",
  ...KVMMMU,
];
/** Pages of L1's own tree that were made before the trace begins: shadow page n of it is number 4 + n. */
const OWN = 4;
/** Entry `index` of shadow page n of the trace. */
const shadow = (n: number, index = 0): number => sp(OWN + n, index);

const fault = (address: string, code: string): string =>
  `kvm_page_fault: vcpu 0 rip 0x100000 address 0x${address.padStart(16, "0")} error_code 0x${code}`;
const gotPage = (frame: string, level: number, state = "sync"): string =>
  `sp gen 0 gfn ${frame} l${level} 8-byte q0 wux nxe ad root ${level === 4 ? 1 : 0} ${state}`;
const made = (frame: string, level: number): string =>
  `kvm_mmu_get_page: ${gotPage(frame, level).replace("root 1", "root 0")} new`;
/** L1's own leaf of a frame that becomes one of its tables for L2. */
const isProtected = (frame: string): string =>
  `kvm_tdp_mmu_spte_changed: as id 0 gfn ${frame} level 1 old_spte 1000${frame}e67 new_spte 1000${frame}a65`;
const elements = (...entries: readonly string[]): string[] =>
  entries.map((pte, i) => `kvm_mmu_paging_element: pte ${pte} level ${4 - i}`);

/** Track counts of gfns 0x20 … 0x23. */
const tracked = (g: NestedGuest): number[] => {
  const { arch } = g.vm.slots[0]!;
  return [0x20, 0x21, 0x22, 0x23].map((frame) => arch.writeTrack[frame]!);
};

/** After L2 has written ngpa 0x5000. The log is empty. */
function touched(options: GuestOptions = checked): NestedGuest {
  const g = nestedGuest(options);
  g.enterL2();
  g.write(0, 0x5000, 1);
  g.log.length = 0;
  return g;
}

describe("golden trace G18: nested NPT", () => {
  it("G18 F-035 F-063 L2 writes: L1's tables are walked, protected and shadowed", () => {
    const g = nestedGuest(checked);
    assert.equal(g.enterL2(), true);
    assert.deepEqual(g.events(), [isProtected("20"), made("20", 4)]);
    assert.deepEqual(g.write(0, 0x5000, 1), { kind: "ok", value: 1n, emulated: false });
    assert.deepEqual(g.events(FAULTS), [
      fault("5000", "100000006"),
      "kvm_mmu_pagetable_walk: addr 5000 pferr 6 W|U",
      ...elements("21007", "22007", "23007", "9007"),
      "kvm_mmu_set_accessed_bit: gpa 20000",
      "kvm_mmu_set_accessed_bit: gpa 21000",
      "kvm_mmu_set_accessed_bit: gpa 22000",
      "kvm_mmu_set_accessed_bit: gpa 23028",
      "kvm_mmu_set_dirty_bit: gpa 23028",
      isProtected("21"),
      made("21", 3),
      isProtected("22"),
      made("22", 2),
      isProtected("23"),
      made("23", 1),
      "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
      `kvm_mmu_set_spte: gfn 9 spte 100009e67 (rwxu) level 1 at ${shadow(3, 5).toString(16)}`,
    ]);
    const roles = [0x20, 0x21, 0x22, 0x23].map(
      (frame) => g.vm.pagesOf(gfn(frame)).find((page) => page.hasGptes)?.role,
    );
    assert.deepEqual(roles, [0x23704, 0x23703, 0x23702, 0x23701]);
    assert.deepEqual(
      [shadow(0), shadow(1), shadow(2), shadow(3, 5)].map((at) => g.spte(at)),
      [0x200005827n, 0x200006827n, 0x200007827n, 0x100009e67n],
    );
    const gptes = [0x20000, 0x21000, 0x22000, 0x23028].map((at) => g.entryAt(at));
    assert.deepEqual(gptes, [0x21027n, 0x22027n, 0x23027n, 0x9067n]);
    assert.deepEqual(tracked(g), [1, 1, 1, 0]);
    assert.equal(g.entryAt(0x9000), 1n);
  });

  it("G18 L2 reads what L1 has not mapped: the exit is L1's", () => {
    const g = touched();
    const exit = { kind: "npf", exitCode: 0x400, exitInfo1: 0x100000004, exitInfo2: 0x6000 };
    assert.deepEqual(g.read(0, 0x6000), { kind: "nested-exit", exit });
    assert.deepEqual(g.events(FAULTS), [
      fault("6000", "100000004"),
      "kvm_mmu_pagetable_walk: addr 6000 pferr 4 U",
      ...elements("21027", "22027", "23027", "0"),
      "kvm_mmu_walker_error: pferr 4 U",
      "kvm_nested_page_fault: gpa 0x6000 host err 0x100000004 guest err 0x4",
      "kvm_nested_vmexit_inject: reason: npf ext_inf1: 0x0000000100000004 ext_inf2: 0x0000000000006000 ext_int: 0x00000000 ext_int_err: 0x00000000",
    ]);
    assert.deepEqual(g.vcpu.nestedExit, exit);
    g.leaveL2();
    assert.equal(g.vcpu.nestedExit, undefined);
  });

  it("G18 F-033 L1 writes a leaf table of L2's: it goes unsync, until a flush at VMRUN syncs it", () => {
    const g = touched();
    g.leaveL2();
    assert.deepEqual(g.events(), []);
    assert.deepEqual(g.write(0, 0x23030, 0xa067), { kind: "ok", value: 0xa067n, emulated: false });
    const own = g.vm.leavesOf(gfn(0x23))[0]!;
    const at = g.vm.core.state.hpaOf(own).toString(16);
    assert.deepEqual(g.events(FAULTS), [
      fault("23030", "100000007"),
      "kvm_mmu_spte_requested: gfn 23 pfn 100023 level 1",
      `kvm_mmu_unsync_page: ${gotPage("23", 1)}`,
      "kvm_tdp_mmu_spte_changed: as id 0 gfn 23 level 1 old_spte 100023a65 new_spte 100023e67",
      `kvm_mmu_set_spte: gfn 23 spte 100023e67 (rwxu) level 1 at ${at}`,
    ]);
    assert.equal(g.vm.stats.mmu_unsync, 1);
    // Without a flush L2 goes on with what there is.
    g.enterL2();
    assert.deepEqual([g.events(), g.vm.stats.mmu_unsync], [[], 1]);
    g.leaveL2();
    g.enterL2({ flush: true });
    assert.deepEqual(g.events(), [
      isProtected("23"),
      `kvm_mmu_sync_page: ${gotPage("23", 1, "unsync")}`,
    ]);
    assert.equal(g.vm.stats.mmu_unsync, 0);
    assert.equal(g.write(0, 0x6000, 7).kind, "ok");
    assert.equal(g.entryAt(0xa000), 7n);
  });

  it("G18 L1 writes an upper table of L2's: emulated, and the entry goes", () => {
    const g = touched();
    g.leaveL2();
    assert.deepEqual(g.write(0, 0x22008, 0x24007), {
      kind: "ok",
      value: 0x24007n,
      emulated: true,
    });
    assert.deepEqual(g.events(FAULTS), [fault("22008", "100000007")]);
    assert.equal(g.entryAt(0x22008), 0x24007n);
    const { mmu_pte_write, mmu_pde_zapped } = g.vm.stats;
    assert.deepEqual([mmu_pte_write, mmu_pde_zapped, g.vcpu.mmu.stats.pf_emulate], [1, 1, 1]);
    // The entry in use is zapped, its page stays.
    g.write(0, 0x22000, 0x23007);
    assert.equal(g.spte(shadow(2)), 0x8000000000000000n);
    g.enterL2({ flush: true });
    assert.equal(g.read(0, 0x5000).kind, "ok");
    assert.ok(g.events().includes(`kvm_mmu_get_page: ${gotPage("23", 1)} existing`));
  });
});
