import assert from "node:assert/strict";
import { CR0, CR4, gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import type { Guest } from "../kvm/guest";
import { firstGuest, sp, touchedGuest } from "../kvm/tables";

describe("golden trace G8: a 2M guest page on 4K host pages", () => {
  it("F-045 F-050 F-132 F-134 a direct page splits it, one for each access", () => {
    const g = firstGuest(checked).entry(0x3008, 0x2000a7).enter();
    const { arch } = g.vm.slots[0]!;
    g.read(3, 0x203000);
    assert.deepEqual(g.events(["kvm_mmu_get_page"]).slice(3), [
      "kvm_mmu_get_page: sp gen 0 gfn 200 l1 8-byte q0 direct -ux nxe ad root 0 sync new",
    ]);
    const [sp3] = g.vm.pagesOf(gfn(0x200));
    assert.equal(sp3?.role, 0x3581);
    assert.equal(g.spte(sp(2, 1)), 0x200003827n);
    assert.equal(g.spte(sp(3, 3)), 0x100203a25n);
    assert.deepEqual([arch.writeTrack[0x200], arch.lpage[0][1]], [0, 0]);

    const flushes = g.vm.stats.remote_tlb_flush;
    g.log.length = 0;
    g.write(3, 0x203000, 1);
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 7);
    assert.deepEqual(g.events(["kvm_mmu_set_dirty_bit", "kvm_mmu_get_page"]), [
      "kvm_mmu_set_dirty_bit: gpa 3008",
      "kvm_mmu_get_page: sp gen 0 gfn 200 l1 8-byte q0 direct wux nxe ad root 0 sync new",
    ]);
    assert.equal(g.spte(sp(2, 1)), 0x200004827n);
    assert.equal(g.spte(sp(4, 3)), 0x100203e67n);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes + 1);
    assert.equal(sp3?.parentPtes, 0);
    assert.deepEqual(
      g.vm.pagesOf(gfn(0x200)).map((page) => page.role),
      [0x3781, 0x3581],
    );
  });
});

describe("golden trace G11: CR0.WP = 0", () => {
  const wpGuest = (cr4 = 0n): Guest => {
    const g = firstGuest(checked).entry(0x4028, 0x9065);
    g.cpu.cr0 &= ~CR0.WP;
    g.cpu.cr4 |= cr4;
    // The registers were set behind the vCPU's back.
    g.vcpu.restored();
    g.enter();
    return g;
  };
  const leaf = (g: Guest): bigint => g.spte(sp(3, 5));
  const rootRole = (g: Guest): number | undefined => g.vm.pagesOf(gfn(1))[0]?.role;

  /** What one access prints of its fault, its walk and the leaf. */
  const printed = (g: Guest, access: () => unknown): string[] => {
    g.log.length = 0;
    access();
    return g.events([
      "kvm_page_fault",
      "kvm_mmu_walker_error",
      "kvm_mmu_get_page",
      "kvm_mmu_set_spte",
      "kvm_inj_exception",
    ]);
  };
  const fault = (code: string): string =>
    `kvm_page_fault: vcpu 0 rip 0x100000 address 0x0000000000005000 error_code ${code}`;
  const set = (spte: string, rights: string): string =>
    `kvm_mmu_set_spte: gfn 9 spte ${spte} (${rights}) level 1 at 200003028`;
  const newPages = [
    "kvm_mmu_get_page: sp gen 0 gfn 2 l3 8-byte q0 wux nxe ad root 0 sync new",
    "kvm_mmu_get_page: sp gen 0 gfn 3 l2 8-byte q0 wux nxe ad root 0 sync new",
    "kvm_mmu_get_page: sp gen 0 gfn 4 l1 8-byte q0 wux nxe ad root 0 sync new",
  ];
  const refused = (pferr: string, code: string): string[] => [
    `kvm_mmu_walker_error: pferr ${pferr}`,
    `kvm_inj_exception: #PF (${code})`,
  ];

  it("F-025 F-125 F-126 F-127 event by event", () => {
    const g = wpGuest();
    const user = set("100009a25", "r-xu");
    const kernel = set("100009e63", "rwx-");
    assert.deepEqual(
      printed(g, () => g.read(0, 0x5000)),
      [fault("0x0"), ...newPages, user],
    );
    assert.deepEqual(
      printed(g, () => g.write(0, 0x5000, 1)),
      [fault("0x3"), kernel],
    );
    assert.deepEqual(
      printed(g, () => g.read(3, 0x5000)),
      [fault("0x5"), user],
    );
    assert.deepEqual(
      printed(g, () => g.write(3, 0x5000, 1)),
      [fault("0x7"), ...refused("7 P|W|U", "0x7")],
    );
    assert.deepEqual(
      printed(g, () => g.write(0, 0x5000, 1)),
      [fault("0x3"), kernel],
    );
    assert.deepEqual(
      printed(g, () => g.fetch(0, 0x5000)),
      [],
    );
  });

  it("F-128 event by event with SMEP", () => {
    const g = wpGuest(CR4.SMEP);
    g.read(0, 0x5000);
    assert.deepEqual(
      printed(g, () => g.write(0, 0x5000, 1)),
      [fault("0x3"), set("8000000100009e63", "rw--")],
    );
    assert.deepEqual(
      printed(g, () => g.fetch(0, 0x5000)),
      [fault("0x11"), ...refused("11 P|F", "0x11")],
    );
    assert.deepEqual(
      printed(g, () => g.fetch(3, 0x5000)),
      [fault("0x15"), set("100009a25", "r-xu")],
    );
    assert.deepEqual(
      printed(g, () => g.fetch(0, 0x5000)),
      [fault("0x11"), ...refused("11 P|F", "0x11")],
    );
  });

  it("F-129 event by event with SMAP", () => {
    const g = wpGuest(CR4.SMAP);
    assert.deepEqual(
      printed(g, () => g.read(0, 0x5000)),
      [fault("0x0"), ...refused("1 P", "0x1")],
    );
    g.cpu.ac = true;
    assert.deepEqual(
      printed(g, () => g.read(0, 0x5000)),
      [fault("0x0"), ...newPages, set("100009a25", "r-xu")],
    );
    g.cpu.ac = false;
    assert.deepEqual(
      printed(g, () => g.read(0, 0x5000)),
      [fault("0x1"), ...refused("1 P", "0x1")],
    );
  });

  it("F-025 F-123 F-125 F-126 F-127 the leaf flips between the kernel form and the user form", () => {
    const g = wpGuest();
    assert.equal(rootRole(g), 0x1704);
    const codes: unknown[] = [];
    g.trace.on("kvm_page_fault", (event) => codes.push(event.fields.error_code));
    g.read(0, 0x5000);
    assert.equal(leaf(g), 0x100009a25n);
    g.write(0, 0x5000, 1);
    assert.equal(leaf(g), 0x100009e63n);
    const flushes = g.vm.stats.remote_tlb_flush;
    g.read(3, 0x5000);
    assert.equal(leaf(g), 0x100009a25n);
    assert.equal(g.vm.stats.remote_tlb_flush, flushes + 1);
    assert.deepEqual(g.write(3, 0x5000, 1), { kind: "fault", error: 7, cr2: 0x5000n });
    g.write(0, 0x5000, 2);
    assert.equal(leaf(g), 0x100009e63n);
    assert.deepEqual(codes, [0, 3, 5, 7, 3]);
  });

  it("F-059 F-128 with SMEP the kernel form cannot be executed", () => {
    const g = wpGuest(CR4.SMEP);
    assert.equal(rootRole(g), 0x5704);
    g.read(0, 0x5000);
    g.write(0, 0x5000, 1);
    assert.equal(leaf(g), 0x8000000100009e63n);
    assert.deepEqual(g.fetch(0, 0x5000), { kind: "fault", error: 0x11, cr2: 0x5000n });
    g.log.length = 0;
    assert.equal(g.fetch(3, 0x5000).kind, "ok");
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 0x15);
    assert.equal(leaf(g), 0x100009a25n);
  });

  it("F-060 F-129 with SMAP the walk refuses, unless AC is set", () => {
    const g = wpGuest(CR4.SMAP);
    assert.equal(rootRole(g), 0x9704);
    assert.deepEqual(g.read(0, 0x5000), { kind: "fault", error: 1, cr2: 0x5000n });
    g.cpu.ac = true;
    assert.equal(g.read(0, 0x5000).kind, "ok");
  });

  it("F-129 with SMAP a kernel write to a read-only user page is emulated: SMAP still holds after CLAC", () => {
    const g = wpGuest(CR4.SMAP);
    g.cpu.ac = true;
    assert.deepEqual(g.write(0, 0x5000, 9), { kind: "ok", value: 9n, emulated: true });
    assert.equal(g.read(0, 0x5000).kind, "ok");
    g.cpu.ac = false;
    assert.deepEqual(g.read(0, 0x5000), { kind: "fault", error: 1, cr2: 0x5000n });
    assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 9n, emulated: false });
  });

  it("F-129 pages made without SMAP are not used with it", () => {
    const g = wpGuest();
    g.write(0, 0x5000, 1);
    g.cpu.ac = true;
    g.movCr4(g.cpu.cr4 | CR4.SMAP);
    g.log.length = 0;
    g.read(0, 0x5000);
    assert.deepEqual(
      g.log
        .filter((e) => e.name === "kvm_mmu_get_page")
        .map(({ fields }) => [fields.gfn, fields.created]),
      [
        [2, true],
        [3, true],
        [4, true],
      ],
    );
  });

  it("F-124 WP = 1 needs nothing special: the kernel's write is its fault, the leaf stays the user's", () => {
    const g = firstGuest(checked).entry(0x4028, 0x9065).enter();
    g.read(0, 0x5000);
    const before = leaf(g);
    assert.equal(before & 6n, 4n);
    assert.deepEqual(g.write(0, 0x5000, 1), { kind: "fault", error: 3, cr2: 0x5000n });
    assert.equal(leaf(g), before);
    assert.equal(g.read(3, 0x5000).kind, "ok");
  });

  it("F-188 pages made under either WP stay apart, and each is found again under its own", () => {
    const g = wpGuest();
    g.write(0, 0x5000, 1);
    g.movCr0(g.cpu.cr0 | CR0.WP);
    g.read(0, 0x5000);
    const made = g.vm.stats.mmu_cache_miss;
    assert.equal(g.vm.pagesOf(gfn(4)).length, 2);
    for (const wp of [false, true, false]) {
      g.movCr0(wp ? g.cpu.cr0 | CR0.WP : g.cpu.cr0 & ~CR0.WP);
      assert.equal(g.write(0, 0x5000, 2).kind, wp ? "fault" : "ok");
    }
    assert.equal(g.vm.stats.mmu_cache_miss, made);
  });

  it("F-058 F-130 WP 0 → 1 builds a root of its own beside the old one", () => {
    const g = wpGuest();
    g.write(0, 0x5000, 1);
    g.movCr0(g.cpu.cr0 | CR0.WP);
    const roots = g.vm.pagesOf(gfn(1));
    assert.deepEqual(
      roots.map((page) => [page.role, page.rootCount]),
      [
        [0x3704, 1],
        [0x1704, 0],
      ],
    );
    assert.deepEqual(g.write(0, 0x5000, 3), { kind: "fault", error: 3, cr2: 0x5000n });
  });
});

describe("F-131 F-118 SMEP 0 → 1 with WP = 0", () => {
  it("another role again", () => {
    const g = touchedGuest(checked);
    g.movCr0(g.cpu.cr0 & ~CR0.WP);
    g.movCr4(g.cpu.cr4 | CR4.SMEP);
    assert.deepEqual(
      g.vm.pagesOf(gfn(1)).map((page) => page.role),
      [0x5704, 0x1704, 0x3704],
    );
  });
});
