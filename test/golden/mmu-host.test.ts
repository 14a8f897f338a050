import assert from "node:assert/strict";
import { GUEST_HVA, performHostAction } from "../../src/host";
import { CR0, gfn, gpa, hva } from "../../src/x86";
import { checked } from "../kvm/checked";
import { Guest } from "../kvm/guest";
import { NP, sp, touchedGuest } from "../kvm/tables";

const MMIO_GPA = 0xd0000000;

describe("golden trace G12: mmio and the generation", () => {
  const mmioGuest = (): Guest =>
    new Guest(checked)
      .entry(0x1000, 0x2007)
      .entry(0x2000, 0x3007)
      .entry(0x3000, 0x4007)
      .entry(0x4028, 0xd0000067)
      .enter();

  it("F-098 F-103 F-105 the first access marks the spte", () => {
    const g = mmioGuest();
    g.log.length = 0;
    assert.deepEqual(g.read(0, 0x5000), { kind: "device", gpa: MMIO_GPA });
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 0);
    assert.equal(g.spte(sp(3, 5)), 0x00080000d0000017n);
    assert.deepEqual(g.events(["mark_mmio_spte"]), [
      "mark_mmio_spte: sptep:200003028 gfn d0000 access 7 gen 2",
    ]);
    const { stats, mmioCache } = g.vcpu.mmu;
    assert.deepEqual([stats.pf_mmio_spte_created, stats.pf_emulate], [1, 1]);
    assert.deepEqual(mmioCache, { gva: 0x5000n, gfn: 0xd0000, access: 6, generation: 2 });
  });

  it("F-099 the second access needs no walk, and the mark is enough without the cache", () => {
    const g = mmioGuest();
    g.entry(0x4040, 0xd0001067);
    g.read(0, 0x5000);
    g.log.length = 0;
    assert.deepEqual(g.read(0, 0x5000), { kind: "device", gpa: MMIO_GPA });
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 9);
    assert.deepEqual(g.events(), []);
    g.read(0, 0x8000);
    g.log.length = 0;
    g.read(0, 0x5000);
    assert.deepEqual(g.events(["check_mmio_spte", "handle_mmio_page_fault"]), [
      "check_mmio_spte: spte 80000d0000017 kvm_gen 2 spte-gen 2 valid 1",
      "handle_mmio_page_fault: addr:5000 gfn d0000 access 6",
    ]);
  });

  it("F-141 F-142 F-143 another slot makes the mark stale; one that covers it makes it RAM", () => {
    const g = mmioGuest();
    g.read(0, 0x5000);
    g.process.mmap(hva(0x7e0000000000), 0x200000, { kind: "anonymous", writable: true });
    assert.equal(g.setSlot(1, 0x100000, 0x100, 0x7e0000000000), "create");
    g.log.length = 0;
    assert.equal(g.read(0, 0x5000).kind, "device");
    assert.deepEqual(g.events(["check_mmio_spte"]), [
      "check_mmio_spte: spte 80000d0000017 kvm_gen 4 spte-gen 2 valid 0",
    ]);
    assert.equal(g.spte(sp(3, 5)), 0x00080000d0000027n);
    assert.equal(g.setSlot(2, 0xd0000, 0x100, 0x7e0000100000), "create");
    assert.equal(g.read(0, 0x5000).kind, "ok");
    assert.equal(g.spte(sp(3, 5)) & 0x800n, 0x800n);
  });

  it("F-145 F-146 during an update nothing is believed, and what is marked then is stale after", () => {
    const g = mmioGuest();
    g.process.mmap(hva(0x7e0000000000), 0x100000, { kind: "anonymous", writable: true });
    g.read(0, 0x5000);
    const inside: string[] = [];
    const off = g.trace.on("point", (event) => {
      if (event.fields.point !== "M3") return;
      g.log.length = 0;
      g.read(0, 0x5000);
      inside.push(...g.events(["check_mmio_spte", "mark_mmio_spte"]));
    });
    g.setSlot(1, 0x100000, 0x100, 0x7e0000000000);
    off();
    assert.deepEqual(inside, ["mark_mmio_spte: sptep:200003028 gfn d0000 access 7 gen 2"]);
    g.log.length = 0;
    g.read(0, 0x5000);
    assert.deepEqual(g.events(["check_mmio_spte"]), [
      "check_mmio_spte: spte 80000d0000017 kvm_gen 4 spte-gen 2 valid 0",
    ]);
  });

  it("F-144 when the stored bits wrap, everything is zapped", () => {
    const g = mmioGuest();
    g.read(0, 0x5000);
    g.process.mmap(hva(0x7e0000000000), 0x100000, { kind: "anonymous", writable: true });
    g.vm.core.state.slotSets[0]!.generation = 0x7fffe;
    g.log.length = 0;
    g.setSlot(1, 0x100000, 0x100, 0x7e0000000000);
    assert.deepEqual(g.events(["kvm_mmu_zap_all_fast"]), [
      "kvm_mmu_zap_all_fast: kvm-mmu-valid-gen 0 used_pages 4",
    ]);
    assert.equal(g.vm.generation, 0x80000n);
  });
});

describe("golden trace G13: a slot is deleted while mapped", () => {
  it("F-043 F-055 F-065 invalid copy, zap of everything, then the slot is gone", () => {
    const g = touchedGuest(checked);
    const generations: bigint[] = [];
    const between: unknown[] = [];
    g.trace.on("point", (event) => {
      if (event.fields.point === "M1") generations.push(g.vm.generation);
      if (event.fields.point !== "M2") return;
      const [root] = g.vm.pinnedPages();
      between.push(g.vm.usedPages, root?.rootCount, root?.invalid, g.vm.mmuValidGen);
    });
    assert.equal(g.setSlot(0, 0, 0, GUEST_HVA), "delete");
    assert.deepEqual(generations, [4n]);
    assert.deepEqual(between, [1, 1, true, 1]);
    assert.deepEqual(g.events(), [
      "kvm_mmu_zap_all_fast: kvm-mmu-valid-gen 0 used_pages 4",
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 1 l4 8-byte q0 wux nxe ad root 1 sync",
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 2 l3 8-byte q0 wux nxe ad root 0 sync",
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 3 l2 8-byte q0 wux nxe ad root 0 sync",
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 4 l1 8-byte q0 wux nxe ad root 0 sync",
    ]);
    g.enter();
    assert.deepEqual(g.events(), [
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 1 l4 8-byte q0 wux invalid nxe ad root 0 sync",
    ]);
    assert.deepEqual([g.vm.usedPages, g.vm.stats.mmu_shadow_zapped], [0, 5]);
    assert.equal(g.vm.generation, 6n);
    assert.equal(g.vcpu.mmu.root.kind, "dummy");
    assert.deepEqual(g.read(3, 0x5000), { kind: "fault", error: 4, cr2: 0x5000n });
  });

  it("INV-M-03 a fault between the two publishes is retried and maps nothing", () => {
    const g = touchedGuest({});
    let tried = 0;
    g.trace.on("point", (event) => {
      if (event.fields.point !== "M2") return;
      g.first.oneTry = true;
      g.read(3, 0x5000);
      g.first.oneTry = false;
      tried++;
      assert.equal(g.vm.stats.pages_4k, 0);
    });
    g.setSlot(0, 0, 0, GUEST_HVA);
    assert.equal(tried, 1);
  });
});

describe("golden trace G14: the host swaps a page out", () => {
  it("F-007 F-082 F-119 F-164 the spte goes, and the next access maps the new frame", () => {
    const g = touchedGuest(checked);
    const at = g.vm.slots[0]!.hvaOf(gfn(9));
    const during: unknown[] = [];
    const { notifier } = g.vm.core.state;
    g.trace.on("point", (event) => {
      if (event.fields.point === "N1") during.push({ ...notifier });
    });
    assert.equal(performHostAction(g.process, g.trace, "swap-out", at).kind, "done");
    assert.deepEqual(during, [{ inProgress: 1, rangeStart: 9, rangeEnd: 0xa, seq: 0 }]);
    assert.deepEqual(g.events(), [
      "kvm_unmap_hva_range: mmu notifier unmap range: 0x00007f0000009000 -- 0x00007f000000a000",
    ]);
    assert.equal(g.spte(sp(3, 5)), NP);
    assert.deepEqual([notifier.seq, notifier.inProgress], [1, 0]);
    assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 1n, emulated: false });
    const pfn = BigInt(g.process.translate(at)!);
    assert.equal(g.spte(sp(3, 5)), (pfn << 12n) | 0xe67n);
    assert.notEqual(pfn, 0x100009n);
  });

  it("G14 F-007 a merged page is mapped read-only, and a write breaks the sharing", () => {
    const g = touchedGuest(checked);
    const at = g.vm.slots[0]!.hvaOf(gfn(9));
    g.vm.memory.write(gpa(0xc000), new Uint8Array([1]));
    g.log.length = 0;
    assert.equal(performHostAction(g.process, g.trace, "merge", at).kind, "done");
    assert.equal(g.spte(sp(3, 5)), NP);
    assert.equal(g.process.translate(at), 0x10000c);
    assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 1n, emulated: false });
    assert.equal(g.spte(sp(3, 5)), 0x10000c825n);
    assert.deepEqual(g.write(3, 0x5000, 7), { kind: "ok", value: 7n, emulated: false });
    const pfn = BigInt(g.process.translate(at)!);
    assert.notEqual(pfn, 0x10000cn);
    assert.equal(g.spte(sp(3, 5)), (pfn << 12n) | 0xe67n);
    assert.equal(g.entryAt(0xc000), 1n, "the other page is as it was");
    assert.deepEqual(g.process.check(), []);
  });

  it("F-112 a page that moves between lookup and lock is not mapped", () => {
    const g = touchedGuest(checked);
    const at = g.vm.slots[0]!.hvaOf(gfn(9));
    performHostAction(g.process, g.trace, "swap-out", at);
    const { pf_taken } = g.vcpu.mmu.stats;
    let moved = false;
    g.trace.on("point", (event) => {
      if (event.fields.point !== "P1" || moved) return;
      moved = true;
      performHostAction(g.process, g.trace, "migrate", at);
    });
    g.log.length = 0;
    assert.equal(g.read(3, 0x5000).kind, "ok");
    assert.equal(g.vcpu.mmu.stats.pf_taken, pf_taken + 2);
    assert.deepEqual(
      g.log.filter((e) => e.name === "retry").map((e) => e.fields.why),
      ["stale-seq"],
    );
    assert.equal(g.spte(sp(3, 5)) >> 12n, BigInt(g.process.translate(at)!));
  });

  it("INV-N-01 while an invalidation runs, its pages are not mapped", () => {
    const g = touchedGuest({});
    const at = g.vm.slots[0]!.hvaOf(gfn(9));
    g.trace.on("point", (event) => {
      if (event.fields.point !== "N2") return;
      g.first.oneTry = true;
      g.read(3, 0x5000);
      g.first.oneTry = false;
      assert.equal(g.spte(sp(3, 5)), NP);
    });
    performHostAction(g.process, g.trace, "migrate", at);
    assert.equal(g.read(3, 0x5000).kind, "ok");
  });
});

describe("golden trace G16: real mode under shadow paging", () => {
  it("F-031 F-036 F-050 four direct roots, and direct pages below them", () => {
    const g = new Guest(checked);
    g.cpu.cr0 = 0n;
    g.cpu.cr4 = 0n;
    g.cpu.efer = 0n;
    g.vcpu.restored();
    g.log.length = 0;
    g.enter();
    const page = (frame: string, level: number): string =>
      `kvm_mmu_get_page: sp gen 0 gfn ${frame} l${level} 8-byte q0 direct wux nxe ad root 0 sync new`;
    assert.deepEqual(g.events(), [
      page("0", 2),
      page("40000", 2),
      page("80000", 2),
      page("c0000", 2),
    ]);
    assert.deepEqual(
      [0, 0x40000, 0x80000, 0xc0000].map((base) => g.vm.pagesOf(gfn(base))[0]?.role),
      [0x1782, 0x1782, 0x1782, 0x1782],
    );
    assert.deepEqual(
      [...(g.vcpu.hardwareRoot as Uint32Array)],
      [0x1, 2, 0x1001, 2, 0x2001, 2, 0x3001, 2],
    );
    const { root } = g.vcpu.mmu;
    assert.equal(root.kind === "pae" && root.pgd, 0n);
    assert.equal(g.fetch(0, 0x7c00).kind, "ok");
    assert.deepEqual(g.events(), [
      "kvm_mmu_spte_requested: gfn 7 pfn 100007 level 1",
      page("0", 1),
      "kvm_mmu_set_spte: gfn 7 spte 100007e67 (rwxu) level 1 at 200004038",
    ]);
    assert.equal(g.vm.pagesOf(gfn(0)).find((page) => page.level === 1)?.role, 0x1781);
    assert.equal(g.spte(sp(0)), 0x200004827n);
    assert.equal(g.spte(sp(4, 7)), 0x100007e67n);
    const { arch } = g.vm.slots[0]!;
    assert.deepEqual([arch.writeTrack[0], arch.lpage[0][0], arch.lpage[1][0]], [0, 0, 1]);

    g.entry(0x1000, 0x2007).entry(0x2000, 0x3007).entry(0x3000, 0x4007).entry(0x4028, 0x9007);
    g.cpu.cr4 = 0x20n;
    g.cpu.efer = 0xd00n;
    g.log.length = 0;
    g.movCr0(CR0.PE | CR0.PG | CR0.WP);
    assert.deepEqual(
      g.events(["root_free", "kvm_mmu_get_page", "kvm_mmu_prepare_zap_page"]).slice(1),
      ["kvm_mmu_get_page: sp gen 0 gfn 1 l4 8-byte q0 wux nxe ad root 0 sync new"],
    );
    assert.deepEqual(
      g.vm.pagesOf(gfn(0x40000)).map((page) => page.rootCount),
      [0],
    );
    assert.equal(g.vm.pagesOf(gfn(1))[0]?.role, 0x3704);
    assert.equal(g.read(0, 0x5000).kind, "ok");
  });
});
