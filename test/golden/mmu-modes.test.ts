import assert from "node:assert/strict";
import { CR4, gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import { Guest } from "../kvm/guest";
import { sp } from "../kvm/tables";

const shortGuest = (cr4 = 0n): Guest =>
  new Guest(checked)
    .entry32(0x1004, 0x2067)
    .entry32(0x280c, 0x9067)
    .start("32-bit", 0x1000, { cr4 });
const roles = (g: Guest, table: number): number[] => g.vm.pagesOf(gfn(table)).map((p) => p.role);
const paeWords = (g: Guest): readonly number[] => [...(g.vcpu.hardwareRoot as Uint32Array)];

describe("golden trace G5: 32-bit paging without PAE, in quadrants", () => {
  it("F-016 F-052 F-053 four roots for one directory, two pages for one table", () => {
    const g = new Guest(checked).entry32(0x1004, 0x2067).entry32(0x280c, 0x9067);
    g.start("32-bit", 0x1000);
    assert.deepEqual(roles(g, 1).reverse(), [0x3712, 0x3732, 0x3752, 0x3772]);
    assert.deepEqual(
      g.vm.pagesOf(gfn(1)).map((page) => page.rootCount),
      [1, 1, 1, 1],
    );
    assert.deepEqual(paeWords(g), [0x1, 2, 0x1001, 2, 0x2001, 2, 0x3001, 2]);
    const { arch } = g.vm.slots[0]!;
    assert.deepEqual([arch.writeTrack[1], arch.lpage[0][0]], [4, 4]);
    g.log.length = 0;
    g.read(3, 0x603000);
    assert.deepEqual(g.events(), [
      "kvm_mmu_pagetable_walk: addr 603000 pferr 4 U",
      "kvm_mmu_paging_element: pte 2067 level 2",
      "kvm_mmu_paging_element: pte 9067 level 1",
      "kvm_mmu_get_page: sp gen 0 gfn 2 l1 4-byte q1 wux nxe ad root 0 sync new",
      "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
      "kvm_mmu_set_spte: gfn 9 spte 100009e67 (rwxu) level 1 at 200004018",
    ]);
    assert.deepEqual(roles(g, 2), [0x3731]);
    assert.equal(g.spte(sp(0, 3)), 0x200004827n);
    assert.equal(g.spte(sp(4, 3)), 0x100009e67n);
    assert.equal(arch.lpage[0][0], 5);
  });
});

describe("golden trace G6: PAE paging", () => {
  it("F-017 absent PDPTEs have no root, and memory is not read again before MOV to CR3", () => {
    const g = new Guest(checked).entry(0x1020, 0x2001).entry(0x1030, 0x3001).start("PAE", 0x1020);
    assert.deepEqual(paeWords(g), [0x1, 2, 0, 0, 0x1001, 2, 0, 0]);
    assert.deepEqual([roles(g, 2), roles(g, 3), roles(g, 1)], [[0x3702], [0x3702], []]);
    assert.equal(g.vm.slots[0]!.arch.writeTrack[1], 0);
    assert.deepEqual(g.read(0, 0x40000000), { kind: "fault", error: 0, cr2: 0x40000000n });
    g.entry(0x1028, 0x4001).entry(0x4000, 0x5067).entry(0x5000, 0x9067);
    assert.equal(g.read(0, 0x40000000).kind, "fault");
    g.movCr3(0x1020);
    assert.deepEqual(paeWords(g), [0x1, 2, 0x2001, 2, 0x1001, 2, 0, 0]);
    assert.equal(g.read(0, 0x40000000).kind, "ok");
    g.entry(0x1028, 0x4003);
    assert.deepEqual(g.first.movCr3(0x1020n, false), { vector: 13, error: 0 });
  });
});

describe("golden trace G7: a 4M page is two of 2M", () => {
  it("F-021 F-133", () => {
    const g = shortGuest(CR4.PSE).entry32(0x1008, 0x004000e7);
    assert.equal(g.write(3, 0x800000, 1, 4).kind, "ok");
  });
});
