import assert from "node:assert/strict";
import { rootPages } from "../../../src/kvm/mmu/root";
import { CR0, CR4, EFER, gfn } from "../../../src/x86";
import { checked } from "../checked";
import { Guest } from "../guest";
import type { Outcome } from "../scripted-vcpu";
import { firstGuest, NP, sp, touchedGuest } from "../tables";

/** Two address spaces over one page table, with PCIDs 1 and 2. */
const tagged = (): Guest => {
  const g = firstGuest(checked).entry(0xa000, 0x2007);
  g.cpu.cr4 |= CR4.PCIDE;
  g.cpu.cr3 = 0x1001n;
  g.vcpu.restored();
  g.enter();
  g.write(3, 0x5000, 1);
  g.entry(0x4030, 0x4067);
  return g;
};

describe("CR3 and TLB instructions", () => {
  it("F-120 A → B → A finds the first root as it was", () => {
    const g = touchedGuest(checked).entry(0xa000, 0x2007);
    g.movCr3(0xa000);
    g.events();
    g.movCr3(0x1000);
    assert.deepEqual(g.events(["kvm_mmu_get_page"]), []);
  });

  it("F-120 a root found again before the one between was built: no page is known as mmio, writes to it count anew", () => {
    const g = touchedGuest(checked).entry(0xa000, 0x2007).entry(0x4030, 0xd0000067);
    g.read(3, 0x6000);
    const { mmu } = g.vcpu;
    const [root] = rootPages(mmu.root);
    root!.writeFloodingCount = 2;
    assert.notEqual(mmu.mmioCache, undefined);
    g.vcpu.cr3Written(0x1000n, 0xa000n, true);
    g.vcpu.cr3Written(0xa000n, 0x1000n, true);
    assert.deepEqual([mmu.mmioCache, root!.writeFloodingCount], [undefined, 0]);
  });

  it("F-120 three roots are kept, the fourth goes", () => {
    const g = touchedGuest(checked);
    for (const root of [0xa000, 0xb000, 0xc000, 0xd000]) g.movCr3(root);
    assert.deepEqual(
      g.vcpu.prevRoots.map((page) => page?.gfn),
      [0xc, 0xb, 0xa],
    );
    assert.equal(g.vm.pagesOf(gfn(1))[0]?.rootCount, 0);
  });

  it("F-121 a CR3 load with bit 63 keeps what is cached of the PCID", () => {
    const g = tagged();
    g.write(0, 0x6028, 0xb067);
    g.movCr3(0xa002, true);
    g.movCr3(0x1001, true);
    assert.equal(g.spte(sp(3, 5)), 0x100009e67n);
    g.movCr3(0x1001);
    assert.equal(g.spte(sp(3, 5)), NP);
  });

  it("F-121 a flush of another PCID frees its cached root, and no other", () => {
    const g = tagged();
    g.movCr3(0xa002, true);
    g.movCr3(0xa003, true);
    const cached = (): (number | undefined)[] => g.vcpu.prevRoots.map((page) => page?.gfn);
    assert.deepEqual(cached(), [0xa, 1, undefined]);
    g.invpcid(1, 1, 0n);
    assert.deepEqual(cached(), [0xa, undefined, undefined]);
  });

  it("F-122 INVPCID 0 syncs one address, 2 and 3 everything", () => {
    for (const type of [0, 2, 3]) {
      const g = tagged();
      g.write(0, 0x6028, 0xb067);
      g.invpcid(type, 1, 0x5000n);
      assert.equal(g.spte(sp(3, 5)), NP, `type ${type}`);
    }
    const other = tagged();
    other.write(0, 0x6028, 0xb067);
    other.invpcid(0, 2, 0x5000n);
    assert.equal(other.spte(sp(3, 5)), 0x100009e67n);
  });

  it("F-122 INVPCID of everything keeps the roots that are in sync, the present one above all", () => {
    const g = tagged();
    g.movCr3(0xa002, true);
    g.read(3, 0x5000);
    const [root, cached] = [g.vcpu.mmu.root, g.vcpu.mmu.prevRoots[0]];
    assert.deepEqual([root.kind, cached?.kind], ["page", "page"]);
    g.invpcid(2, 1, 0n).enter();
    assert.equal(g.vcpu.mmu.root, root);
    assert.equal(g.vcpu.mmu.prevRoots[0], cached);
  });

  it("F-020 toggling CR4.PGE syncs the root", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x4067);
    g.write(0, 0x6028, 0xb067);
    g.movCr4(g.cpu.cr4 | CR4.PGE);
    assert.equal(g.spte(sp(3, 5)), NP);
    assert.equal(g.vm.stats.mmu_unsync, 0);
  });

  it("F-020 the shadow of a global page is not global", () => {
    const g = firstGuest(checked).entry(0x4028, 0x9167).enter();
    g.read(3, 0x5000);
    assert.equal(g.spte(sp(3, 5)) & 0x100n, 0n);
  });

  it("F-030 INVLPG of a non-canonical address counts and does nothing", () => {
    const g = touchedGuest(checked).entry(0x4030, 0x4067);
    g.write(0, 0x6028, 0xb067);
    g.log.length = 0;
    g.invlpg(0x8000_0000_0000_0000n);
    assert.equal(g.vcpu.mmu.stats.invlpg, 1);
    assert.deepEqual(
      g.log.map((event) => event.name),
      ["kvm_exit", "kvm_entry"],
    );
  });

  it("F-040 F-041 F-042 writes to control registers, INVLPG and faults are announced", () => {
    const g = touchedGuest(checked);
    g.movCr3(0x1000).invlpg(0x5000);
    g.read(3, 0x7000);
    assert.deepEqual(g.events(["kvm_cr", "kvm_page_fault"]), [
      "kvm_cr: cr_write 3 = 0x1000",
      "kvm_page_fault: vcpu 0 rip 0x100000 address 0x0000000000007000 error_code 0x4",
    ]);
  });

  it("F-118 CR0.WP without paging changes nothing", () => {
    const g = new Guest(checked);
    g.cpu.cr0 = CR0.PE;
    g.cpu.cr4 = 0n;
    g.cpu.efer = 0n;
    g.vcpu.restored();
    g.enter();
    g.log.length = 0;
    g.movCr0(CR0.PE | CR0.WP);
    assert.deepEqual(g.events(["kvm_mmu_get_page", "root_free"]), []);
  });

  it("F-028 with EFER.NX off bit 63 of a gpte is reserved, also for what was mapped before", () => {
    const g = touchedGuest(checked).entry(0x4040, 0x8000000000009067n);
    assert.equal(g.read(3, 0x8000).kind, "ok");
    assert.deepEqual(g.fetch(3, 0x8000), { kind: "fault", error: 0x15, cr2: 0x8000n });
    g.setEfer(g.cpu.efer & ~EFER.NX);
    assert.deepEqual(g.read(3, 0x8000), { kind: "fault", error: 0xd, cr2: 0x8000n });
  });

  it("F-016 F-017 F-018 F-019 F-118 a running guest goes through every paging mode and back", () => {
    const g = touchedGuest(checked);
    g.entry32(0xa000, 0xb067).entry32(0xb014, 0x9067);
    g.entry(0xc000, 0xd001).entry(0xd000, 0xe067).entry(0xe028, 0x9067);
    g.entry(0xf000, 0x1067);
    const seen = (): Outcome => g.read(0, 0x5000, 4);
    g.write(3, 0x5000, 7);
    for (const [mode, cr3] of [
      ["none", 0],
      ["32-bit", 0xa000],
      ["PAE", 0xc000],
      ["4-level", 0x1000],
      ["5-level", 0xf000],
      ["32-bit", 0xa000],
      ["4-level", 0x1000],
    ] as const) {
      g.mode(mode, cr3);
      if (mode !== "none") assert.deepEqual(seen(), { kind: "ok", value: 7n, emulated: false });
    }
  });

  it("F-021 F-118 changing CR4.PSE gives a directory's bit 7 its other meaning", () => {
    const g = new Guest(checked).entry32(0x1008, 0x004000e7).entry32(0x400000, 0x9067);
    g.start("32-bit", 0x1000, { cr4: CR4.PSE });
    g.write(3, 0x800008, 1, 4);
    assert.equal(g.entryAt(0x400008), 1n);
    g.movCr4(0n);
    g.write(3, 0x800008, 2, 4);
    assert.equal(g.entryAt(0x9008), 2n);
    g.movCr4(CR4.PSE);
    assert.deepEqual(g.read(3, 0x800008, 4), { kind: "ok", value: 1n, emulated: false });
  });

  it("F-017 F-118 bits 62:52 of a gpte are free in long mode and reserved under PAE paging", () => {
    const g = firstGuest(checked).entry(0x4028, 0x10000000009067n).entry(0xa000, 0x3001).enter();
    assert.equal(g.read(3, 0x5000).kind, "ok");
    g.mode("PAE", 0xa000);
    assert.deepEqual(g.read(3, 0x5000), { kind: "fault", error: 0xd, cr2: 0x5000n });
    g.mode("4-level", 0x1000);
    assert.equal(g.read(3, 0x5000).kind, "ok");
  });

  it("F-019 a 5-level guest walks five levels", () => {
    const g = new Guest(checked);
    g.cpu.cr4 |= CR4.LA57;
    g.cpu.cr3 = 0xa000n;
    g.entry(0xa008, 0x1067).entry(0x1000, 0x2067).entry(0x2000, 0x3067);
    g.entry(0x3000, 0x4067).entry(0x4028, 0x9067);
    g.vcpu.restored();
    g.enter();
    assert.equal(g.read(0, 0x0001_0000_0000_5000n).kind, "ok");
    assert.equal(g.vm.pagesOf(gfn(0xa))[0]?.level, 5);
    assert.equal(g.vm.usedPages, 5);
  });

  it("F-024 F-132 a 1G guest page is split into direct pages, or reserved where CPUID lacks it", () => {
    const g = firstGuest(checked).entry(0x2008, 0xe7).enter();
    g.write(3, 0x40005000, 3);
    assert.deepEqual(
      g.vm.pagesOf(gfn(0)).map((page) => [page.level, page.direct]),
      [
        [1, true],
        [2, true],
      ],
    );
    const without = firstGuest({ ...checked, features: { gigabytePages: false } })
      .entry(0x2008, 0xe7)
      .enter();
    assert.deepEqual(without.read(3, 0x40005000), { kind: "fault", error: 0xd, cr2: 0x40005000n });
  });
});
