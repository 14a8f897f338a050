import assert from "node:assert/strict";
import { gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import type { Guest } from "../kvm/guest";
import { walkLines } from "../kvm/lines";
import { NP, sp, touchedGuest } from "../kvm/tables";

/** G1, then gva 0x6000 maps the page table itself, and the kernel points gva 0x5000 elsewhere. */
function unsyncedGuest(): Guest {
  const g = touchedGuest(checked).entry(0x4030, 0x4067);
  assert.deepEqual(g.write(0, 0x6028, 0xb067), { kind: "ok", value: 0xb067n, emulated: false });
  return g;
}
const pages = (g: Guest) => [1, 2, 3, 4].map((table) => g.vm.pagesOf(gfn(table))[0]!);

describe("golden trace G3: unsync, then invlpg", () => {
  it("F-076 F-077 F-088 F-106 the write makes the table's page unsync and its frame writable", () => {
    const g = unsyncedGuest();
    // The reference's list leaves out kvm_mmu_spte_requested; every mapping fault prints it.
    assert.deepEqual(g.events(), [
      ...walkLines("addr 6028 pferr 2 W", 0x2027, 0x3027, 0x4027, 0x4067),
      "kvm_mmu_spte_requested: gfn 4 pfn 100004 level 1",
      "kvm_mmu_unsync_page: sp gen 0 gfn 4 l1 8-byte q0 wux nxe ad root 0 sync",
      "kvm_mmu_set_spte: gfn 4 spte 100004e67 (rwxu) level 1 at 200003030",
    ]);
    const [sp0, sp1, sp2, sp3] = pages(g);
    assert.equal(sp3?.unsync, true);
    assert.equal(g.vm.stats.mmu_unsync, 1);
    for (const page of [sp0, sp1, sp2]) {
      assert.equal(page?.unsyncChildren, 1);
      assert.ok(page?.hasUnsyncBit(0));
    }
    assert.equal(g.spte(sp(3, 6)), 0x100004e67n);
    assert.equal(g.entryAt(0x4028), 0xb067n);
    assert.equal(g.vcpu.mmu.stats.pf_fixed, 3);
  });

  it("F-091 further writes to the table take no exits", () => {
    const g = unsyncedGuest();
    const { exits } = g.vcpu.mmu.stats;
    for (let i = 0; i < 100; i++) g.write(0, 0x6800 + 8 * i, 0);
    assert.equal(g.vcpu.mmu.stats.exits, exits);
    assert.equal(g.spte(sp(3, 5)), 0x100009e67n, "the old translation is still there");
  });

  it("F-085 F-089 F-115 F-116 invlpg brings that one entry in line", () => {
    const g = unsyncedGuest();
    g.log.length = 0;
    g.invlpg(0x5000);
    assert.equal(g.vcpu.mmu.stats.invlpg, 1);
    assert.deepEqual(g.events(), []);
    assert.equal(g.spte(sp(3, 5)), NP);
    assert.equal(g.vm.rmapOf(gfn(9), 1), 0);
    assert.equal(g.process.page(g.vm.slots[0]!.hvaOf(gfn(9)))?.dirty, true);
    assert.equal(g.vm.stats.remote_tlb_flush, 1);
    assert.equal(pages(g)[3]?.unsync, true, "one address was synced, not the page");
    assert.equal(g.read(3, 0x5000).kind, "ok");
    assert.equal(g.spte(sp(3, 5)), 0x10000be67n);
  });

  it("the drop says why", () => {
    const g = unsyncedGuest();
    g.log.length = 0;
    g.invlpg(0x5000);
    const drops = g.log.filter((event) => event.name === "spte_drop");
    assert.deepEqual(
      drops.map(({ fields }) => [fields.sptep, fields.old, fields.gfn, fields.reason]),
      [[sp(3, 5), 0x100009e67n, 9, "invlpg"]],
    );
  });
});

describe("golden trace G3b: unsync, then a CR3 reload", () => {
  it("F-078 F-086 F-090 F-117 all reachable unsync pages are write-protected and synced", () => {
    const g = unsyncedGuest();
    g.log.length = 0;
    const flushes = g.vm.stats.remote_tlb_flush;
    g.movCr3(0x1000);
    assert.deepEqual(g.events(), [
      "kvm_mmu_sync_page: sp gen 0 gfn 4 l1 8-byte q0 wux nxe ad root 0 unsync",
    ]);
    assert.equal(g.spte(sp(3, 6)), 0x100004a65n);
    assert.equal(g.spte(sp(3, 5)), NP);
    assert.equal(g.vm.stats.mmu_unsync, 0);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes + 2, "after protecting, and after dropping");
    const [sp0, sp1, sp2, sp3] = pages(g);
    assert.equal(sp3?.unsync, false);
    for (const page of [sp0, sp1, sp2]) {
      assert.equal(page?.unsyncChildren, 0);
      assert.equal(page?.hasUnsyncBit(0), false);
    }
    g.events();
    assert.equal(g.write(0, 0x6028, 0xb067).kind, "ok");
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 3);
    assert.equal(pages(g)[3]?.unsync, true);
  });
});

describe("golden trace G4: a table is written while it is synced", () => {
  const pdGuest = (): Guest => touchedGuest(checked).entry(0x4038, 0x3067);

  it("F-087 F-092 F-097 F-107 F-109 the store to an upper-level table is emulated", () => {
    const g = pdGuest();
    assert.deepEqual(g.write(0, 0x7008, 0x5067), { kind: "ok", value: 0x5067n, emulated: true });
    assert.deepEqual(g.events(["kvm_mmu_set_spte"]), [
      "kvm_mmu_set_spte: gfn 3 spte 100003a25 (r-xu) level 1 at 200003038",
    ]);
    assert.equal(g.entryAt(0x3008), 0x5067n);
    const sp2 = pages(g)[2]!;
    assert.equal(sp2.writeFloodingCount, 1);
    assert.deepEqual(
      [g.vm.stats.mmu_pte_write, g.vm.stats.mmu_pde_zapped, g.vm.stats.remote_tlb_flush],
      [1, 1, 0],
    );
    assert.equal(g.vcpu.mmu.stats.pf_emulate, 1);

    g.log.length = 0;
    assert.equal(g.write(0, 0x7008, 0x5067).kind, "ok");
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 3);
    assert.equal(sp2.writeFloodingCount, 1, "the walk cleared it, the store counted it");
  });

  it("F-085 a present entry that is overwritten lets its page go; the page is found again", () => {
    const g = pdGuest();
    g.write(0, 0x7000, 0x4067);
    const sp3 = pages(g)[3]!;
    assert.equal(g.spte(sp(2)), NP);
    assert.equal(sp3.parentPtes, 0);
    assert.equal(g.vm.stats.remote_tlb_flush, 1);
    g.log.length = 0;
    g.read(3, 0x5000);
    assert.deepEqual(g.events(["kvm_mmu_get_page"]), [
      "kvm_mmu_get_page: sp gen 0 gfn 4 l1 8-byte q0 wux nxe ad root 0 sync existing",
    ]);
  });
});

describe("golden trace G4b: write flooding", () => {
  it("F-080 F-087 the third emulated write in a row zaps the page, and the frame is data again", () => {
    const g = touchedGuest(checked)
      .entry(0x2008, 0x6067)
      .entry(0x6000, 0x8067)
      .entry(0x8000, 0x9067)
      .entry(0x4040, 0x6067);
    g.read(3, 0x40000000);
    const sp4 = g.vm.pagesOf(gfn(6))[0]!;
    const sp5 = g.vm.pagesOf(gfn(8))[0]!;
    assert.deepEqual([sp4.role, sp5.role], [0x3702, 0x3701]);
    const { arch } = g.vm.slots[0]!;
    const counts = [arch.writeTrack[6], arch.lpage[0][0]];
    g.log.length = 0;

    const codes: unknown[] = [];
    g.trace.on("kvm_page_fault", (event) => codes.push(event.fields.error_code));
    const seen: number[] = [];
    for (let i = 0; i < 3; i++) {
      assert.equal(g.write(0, 0x8010, 0x8067).kind, "ok");
      seen.push(sp4.writeFloodingCount);
    }
    assert.deepEqual(codes, [2, 3, 3]);
    assert.deepEqual(seen, [1, 2, 3]);
    assert.deepEqual(g.events(["kvm_mmu_prepare_zap_page"]), [
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 6 l2 8-byte q0 wux nxe ad root 0 sync",
    ]);
    assert.equal(g.vm.stats.mmu_flooded, 1);
    assert.equal(g.spte(sp(1, 1)), NP);
    assert.equal(sp5.parentPtes, 0);
    assert.deepEqual([...g.vm.pagesOf(gfn(8))], [sp5]);
    assert.deepEqual([arch.writeTrack[6], arch.lpage[0][0]], [counts[0]! - 1, counts[1]! - 1]);

    const before = g.vcpu.mmu.stats.pf_fixed;
    assert.deepEqual(g.write(0, 0x8010, 0x8067), { kind: "ok", value: 0x8067n, emulated: false });
    assert.equal(g.spte(sp(3, 8)), 0x100006e67n);
    assert.equal(g.vcpu.mmu.stats.pf_fixed, before + 1);
    assert.equal(g.vm.stats.mmu_pte_write, 3);
  });
});
