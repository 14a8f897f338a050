import assert from "node:assert/strict";
import { CR4, gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import { Guest } from "../kvm/guest";
import { NP, sp } from "../kvm/tables";

/** The guest of golden trace G5: gva 0x603000 → gpa 0x9000 through PD[1] and PT[0x203]. */
const shortTables = (): Guest => new Guest(checked).entry32(0x1004, 0x2067).entry32(0x280c, 0x9067);
const shortGuest = (cr4 = 0n): Guest => shortTables().start("32-bit", 0x1000, { cr4 });

const roles = (g: Guest, table: number): number[] => g.vm.pagesOf(gfn(table)).map((p) => p.role);
const paeWords = (g: Guest): readonly number[] => [...(g.vcpu.hardwareRoot as Uint32Array)];
const zapped = (g: Guest): number => g.vm.stats.mmu_pde_zapped;

describe("golden trace G5: 32-bit paging without PAE, in quadrants", () => {
  it("F-016 F-052 F-053 entry: four roots shadow one directory, a quarter each", () => {
    const g = shortTables();
    g.log.length = 0;
    g.start("32-bit", 0x1000);
    assert.deepEqual(
      g.events(["kvm_mmu_get_page"]),
      [0, 1, 2, 3].map(
        (q) => `kvm_mmu_get_page: sp gen 0 gfn 1 l2 4-byte q${q} wux nxe ad root 0 sync new`,
      ),
    );
    assert.deepEqual(roles(g, 1).reverse(), [0x3712, 0x3732, 0x3752, 0x3772]);
    assert.deepEqual(
      g.vm.pagesOf(gfn(1)).map((page) => page.rootCount),
      [1, 1, 1, 1],
    );
    assert.deepEqual(paeWords(g), [0x1, 2, 0x1001, 2, 0x2001, 2, 0x3001, 2]);
    const { arch } = g.vm.slots[0]!;
    assert.deepEqual([arch.writeTrack[1], arch.lpage[0][0]], [4, 4]);
  });

  it("F-016 F-052 a read builds the second half of the page table", () => {
    const g = shortGuest();
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
    assert.equal(g.vm.slots[0]!.arch.lpage[0][0], 5);
    assert.deepEqual(
      [g.vcpu.mmu.stats.pf_taken, g.vcpu.mmu.stats.pf_fixed, g.vm.stats.mmu_cache_miss],
      [1, 1, 5],
    );
  });

  it("F-053 F-087 a store to a PDE empties both of its sptes, in its own quadrant only", () => {
    const g = shortGuest();
    g.read(3, 0x603000);
    const flushes = g.vm.stats.remote_tlb_flush;
    g.emulatedStore(0x1004, 0x2067, 4);
    assert.deepEqual([g.spte(sp(0, 2)), g.spte(sp(0, 3))], [NP, NP]);
    assert.equal(g.vm.pagesOf(gfn(2))[0]?.parentPtes, 0);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes + 1);
    assert.deepEqual([g.vm.stats.mmu_pte_write, zapped(g)], [1, 2]);
    g.emulatedStore(0x1004, 0, 4);
    assert.equal(zapped(g), 2);
  });

  it("F-053 F-087 PD[0x300] is entries 0 and 1 of the fourth quadrant", () => {
    const g = shortGuest().entry32(0x1c00, 0x2067).entry32(0x200c, 0x9067);
    g.read(3, 0xc0203000);
    g.read(3, 0xc0003000);
    assert.deepEqual(
      g.vm.pagesOf(gfn(2)).map((page) => page.role),
      [0x3711, 0x3731],
    );
    assert.notEqual(g.spte(sp(3, 1)), NP);
    g.emulatedStore(0x1c00, 0, 4);
    assert.deepEqual([g.spte(sp(3, 0)), g.spte(sp(3, 1))], [NP, NP]);
  });

  it("F-088 F-089 F-115 a PTE written while unsync is synced by INVLPG", () => {
    const g = shortGuest().entry32(0x2810, 0x2067);
    g.read(3, 0x603000);
    g.log.length = 0;
    g.write(0, 0x60480c, 0xb067, 4);
    assert.deepEqual(g.events(["kvm_mmu_unsync_page", "kvm_mmu_set_spte"]), [
      "kvm_mmu_unsync_page: sp gen 0 gfn 2 l1 4-byte q1 wux nxe ad root 0 sync",
      "kvm_mmu_set_spte: gfn 2 spte 100002e67 (rwxu) level 1 at 200004020",
    ]);
    assert.equal(g.spte(sp(4, 3)), 0x100009e67n);
    g.invlpg(0x603000);
    assert.equal(g.spte(sp(4, 3)), NP);
    g.read(3, 0x603000);
    assert.equal(g.spte(sp(4, 3)), 0x10000be67n);
  });
});

/** PDPTEs 0 and 2 of golden trace G6. */
const paeGuest = (): Guest =>
  new Guest(checked).entry(0x1020, 0x2001).entry(0x1030, 0x3001).start("PAE", 0x1020);

describe("golden trace G6: PAE paging", () => {
  it("F-017 an absent PDPTE has no root, and the PDPT itself is not shadowed", () => {
    const g = new Guest(checked).entry(0x1020, 0x2001).entry(0x1030, 0x3001);
    g.log.length = 0;
    g.start("PAE", 0x1020);
    assert.deepEqual(g.events(), [
      "kvm_mmu_get_page: sp gen 0 gfn 2 l2 8-byte q0 wux nxe ad root 0 sync new",
      "kvm_mmu_get_page: sp gen 0 gfn 3 l2 8-byte q0 wux nxe ad root 0 sync new",
    ]);
    assert.deepEqual(paeWords(g), [0x1, 2, 0, 0, 0x1001, 2, 0, 0]);
    assert.deepEqual([roles(g, 2), roles(g, 3), roles(g, 1)], [[0x3702], [0x3702], []]);
    assert.equal(g.vm.slots[0]!.arch.writeTrack[1], 0);
  });

  it("F-017 an access through the absent one is the guest's fault", () => {
    const g = paeGuest();
    g.log.length = 0;
    assert.deepEqual(g.read(0, 0x40000000), { kind: "fault", error: 0, cr2: 0x40000000n });
    assert.deepEqual(g.events(), [
      "kvm_mmu_pagetable_walk: addr 40000000 pferr 0",
      "kvm_mmu_paging_element: pte 0 level 3",
      "kvm_mmu_walker_error: pferr 0",
      "kvm_inj_exception: #PF (0x0)",
    ]);
  });

  it("F-017 a PDPTE in memory counts when CR3 is loaded, not before", () => {
    const g = paeGuest().entry(0x2000, 0x6067).entry(0x6008, 0x1067);
    g.entry(0x4000, 0x5067).entry(0x5000, 0x9067);
    assert.equal(g.write(0, 0x1028, 0x4001).kind, "ok");
    assert.equal(g.entryAt(0x1028), 0x4001n);
    assert.equal(g.vm.stats.mmu_pte_write, 0);
    assert.equal(g.read(0, 0x40000000).kind, "fault");
    g.log.length = 0;
    g.movCr3(0x1020);
    assert.deepEqual(g.events(["kvm_mmu_get_page"]), [
      "kvm_mmu_get_page: sp gen 0 gfn 2 l2 8-byte q0 wux nxe ad root 0 sync existing",
      "kvm_mmu_get_page: sp gen 0 gfn 4 l2 8-byte q0 wux nxe ad root 0 sync new",
      "kvm_mmu_get_page: sp gen 0 gfn 3 l2 8-byte q0 wux nxe ad root 0 sync existing",
    ]);
    assert.equal(g.read(0, 0x40000000).kind, "ok");
  });

  it("F-017 MOV to CR3 with the same PDPTEs keeps the root", () => {
    const g = paeGuest();
    g.log.length = 0;
    g.movCr3(0x1020);
    assert.deepEqual(g.events(["kvm_mmu_get_page", "root_free"]), []);
  });

  it("F-017 a reserved bit in a present PDPTE is #GP(0), with CR3 and PDPTEs as before", () => {
    for (const wrong of [
      0x4003n,
      0x4005n,
      0x4021n,
      0x4101n,
      0x4001n | (1n << 46n),
      1n | (1n << 63n),
    ]) {
      const g = paeGuest();
      g.entry(0x2000, 0x6067).entry(0x6000, 0x9067).entry(0x1068, wrong);
      assert.deepEqual(g.first.movCr3(0x1060n, false), { vector: 13, error: 0 });
      assert.equal(g.cpu.cr3, 0x1020n);
      assert.equal(g.read(0, 0).kind, "ok");
      g.entry(0x1068, wrong & ~1n);
      assert.equal(g.first.movCr3(0x1060n, false), undefined);
    }
  });
});

describe("golden trace G7: a 4M page is two of 2M; PSE-36", () => {
  it("F-021 F-133 F-135 each half has a spte of its own", () => {
    const g = new Guest({ ...checked, backing: { kind: "anonymous", writable: true, thp: true } });
    g.entry32(0x1008, 0x004000e7).start("32-bit", 0x1000, { cr4: CR4.PSE });
    g.log.length = 0;
    g.write(3, 0x800000, 1, 4);
    assert.deepEqual(g.events(), [
      "kvm_mmu_pagetable_walk: addr 800000 pferr 6 W|U",
      "kvm_mmu_paging_element: pte 4000e7 level 2",
      "kvm_mmu_spte_requested: gfn 400 pfn 100400 level 2",
      "kvm_mmu_set_spte: gfn 400 spte 100400ee7 (rwxu) level 2 at 200000020",
    ]);
    g.write(3, 0xa00000, 1, 4);
    assert.deepEqual([g.spte(sp(0, 4)), g.spte(sp(0, 5))], [0x100400ee7n, 0x100600ee7n]);
    assert.equal(g.vm.stats.pages_2m, 2);
  });

  it("F-050 F-133 F-134 over small host pages each half has a direct page of its own", () => {
    const g = shortGuest(CR4.PSE).entry32(0x1008, 0x004000e7);
    g.write(3, 0x803000, 1, 4);
    g.write(3, 0xa03000, 2, 4);
    assert.deepEqual([roles(g, 0x400), roles(g, 0x600)], [[0x3781], [0x3781]]);
    assert.deepEqual([g.spte(sp(4, 3)), g.spte(sp(5, 3))], [0x100403e67n, 0x100603e67n]);
  });

  it("F-021 with CR4.PSE = 0 bit 7 is ignored", () => {
    const g = shortGuest().entry32(0x1008, 0x004000e7).entry32(0x40000c, 0x9067);
    g.log.length = 0;
    g.write(3, 0x803000, 1, 4);
    assert.deepEqual(g.events(["kvm_mmu_paging_element"]), [
      "kvm_mmu_paging_element: pte 4000e7 level 2",
      "kvm_mmu_paging_element: pte 9067 level 1",
    ]);
    assert.equal(g.spte(sp(4, 3)), 0x100009e67n);
  });

  it("F-022 bits 16:13 of a 4M PDE are bits 35:32 of the address", () => {
    const g = shortGuest(CR4.PSE).entry32(0x1008, 0x000020e7);
    assert.deepEqual(g.read(3, 0x800004, 4), { kind: "device", gpa: 0x100000004 });
    assert.deepEqual(g.read(3, 0xa00000, 4), { kind: "device", gpa: 0x100200000 });
  });

  it("F-023 bits 21:17 of a 4M PDE are reserved", () => {
    for (let bit = 17; bit <= 21; bit++) {
      const g = shortGuest(CR4.PSE).entry32(0x1008, 0x004000e7 | (1 << bit));
      assert.deepEqual(g.read(3, 0x800000, 4), { kind: "fault", error: 0xd, cr2: 0x800000n });
    }
  });
});
