import assert from "node:assert/strict";
import { GUEST_HVA } from "../../src/host";
import { SLOT_FLAG } from "../../src/kvm";
import { gfn } from "../../src/x86";
import { flatGuest } from "../kvm/flat-guest";
import { KVMMMU } from "../kvm/guest";
import { NP, sp } from "../kvm/tables";

const EXITS = ["kvm_exit", "kvm_page_fault"];

describe("golden trace G17: two-dimensional paging, shadow-page engine", () => {
  it("G17 F-033 F-036 a write through EPT: the exit, the pages, the leaf", () => {
    const g = flatGuest({ paging: "ept" });
    assert.deepEqual(g.events(), [
      "kvm_mmu_get_page: sp gen 0 gfn 0 l4 8-byte q0 direct wux nxe ad root 0 sync new",
    ]);
    assert.equal(g.vm.pagesOf(gfn(0))[0]?.role, 0x3784);
    assert.equal(g.write(0, 0x9000, 1).kind, "ok");
    assert.deepEqual(
      g.log.filter(({ name }) => EXITS.includes(name)).map(({ fields }) => fields),
      [
        { vcpu: 0, reason: "EPT_VIOLATION", rip: 0x100000n, info1: 0x182n, info2: 0 },
        { vcpu: 0, rip: 0x100000n, address: 0x9000n, error_code: 0x100000002 },
      ],
    );
    assert.deepEqual(g.events(), [
      "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
      "kvm_mmu_get_page: sp gen 0 gfn 0 l3 8-byte q0 direct wux nxe ad root 0 sync new",
      "kvm_mmu_get_page: sp gen 0 gfn 0 l2 8-byte q0 direct wux nxe ad root 0 sync new",
      "kvm_mmu_get_page: sp gen 0 gfn 0 l1 8-byte q0 direct wux nxe ad root 0 sync new",
      "kvm_mmu_set_spte: gfn 9 spte 8600000100009b77 (rwx) level 1 at 200003048",
    ]);
    assert.deepEqual(
      [sp(0), sp(1), sp(2), sp(3, 9), sp(3, 8)].map((at) => g.spte(at)),
      [0x8000000200001907n, 0x8000000200002907n, 0x8000000200003907n, 0x8600000100009b77n, NP],
    );
    const { stats } = g.vcpu.mmu;
    assert.deepEqual([stats.pf_taken, stats.pf_fixed], [1, 1]);
    assert.equal(g.vm.indirectShadowPages, 0);
    g.read(0, 0x9008);
    assert.equal(stats.pf_taken, 1);
  });

  it("G17 mmio: an entry that is a misconfiguration, told again without a walk", () => {
    const g = flatGuest({ paging: "ept" });
    assert.deepEqual(g.read(0, 0xd0000000), { kind: "device", gpa: 0xd0000000 });
    assert.equal(g.spte(sp(3, 0)), 0x00000000d0000016n);
    g.log.length = 0;
    assert.deepEqual(g.read(0, 0xd0000010), { kind: "device", gpa: 0xd0000010 });
    assert.deepEqual(
      g.log.filter(({ name }) => EXITS.includes(name)).map(({ fields }) => fields),
      [
        { vcpu: 0, reason: "EPT_MISCONFIG", rip: 0x100000n, info1: 0n, info2: 0 },
        { vcpu: 0, rip: 0x100000n, address: 0xd0000010n, error_code: 8 },
      ],
    );
    assert.deepEqual(g.events(), []);
  });

  it("G17 a huge host page is mapped as one", () => {
    const g = flatGuest({
      paging: "ept",
      backing: { kind: "anonymous", writable: true, thp: true },
    });
    g.write(0, 0x203000, 1);
    assert.deepEqual(
      g.events().at(-1),
      "kvm_mmu_set_spte: gfn 200 spte 8600000100200bf7 (rwx) level 2 at 200002008",
    );
  });
});

/** What a change of an empty entry prints. */
const changed = (gfn: string, level: number, spte: string): string =>
  `kvm_tdp_mmu_spte_changed: as id 0 gfn ${gfn} level ${level} old_spte 8000000000000000 new_spte ${spte}`;
const made = (level: number): string =>
  `kvm_mmu_get_page: sp gen 0 gfn 0 l${level} 8-byte q0 direct wux nxe ad root 0 sync new`;

/** The entries on the way to gpa 0x9000, from the root down. */
const SPTES = {
  ept: ["8000000200001907", "8000000200002907", "8000000200003907", "8600000100009b77"],
  npt: ["200001827", "200002827", "200003827", "100009e67"],
} as const;
const RIGHTS = { ept: "(rwx)", npt: "(rwxu)" };
const HUGE = { ept: 0x8600000100000bf7n, npt: 0x100000ee7n };

describe("golden trace G17: two-dimensional paging, TDP MMU", () => {
  for (const paging of ["ept", "npt"] as const) {
    const [top, upper, middle, leaf] = SPTES[paging];

    it(`G17 F-033 a write through ${paging}: each spte on the way changes once`, () => {
      const g = flatGuest({ paging, tdpMmu: true });
      assert.deepEqual(g.events(), [made(4)]);
      const { root } = g.vcpu.mmu;
      assert.ok(root.kind === "page");
      assert.deepEqual([root.page.role, root.page.rootCount], [0x3784, 2]);
      assert.equal(g.write(0, 0x9000, 1).kind, "ok");
      assert.deepEqual(g.events(["kvm_page_fault", ...KVMMMU]), [
        `kvm_page_fault: vcpu 0 rip 0x100000 address 0x0000000000009000 error_code 0x10000000${paging === "ept" ? 2 : 6}`,
        "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
        made(3),
        changed("0", 4, top),
        made(2),
        changed("0", 3, upper),
        made(1),
        changed("0", 2, middle),
        changed("9", 1, leaf),
        `kvm_mmu_set_spte: gfn 9 spte ${leaf} ${RIGHTS[paging]} level 1 at 200003048`,
      ]);
      assert.equal(g.vm.core.state.tdpMmu?.linkedPages, 3);
      const { stats } = g.vcpu.mmu;
      assert.deepEqual([stats.pf_taken, stats.pf_fixed, g.vm.stats.pages_4k], [1, 1, 1]);
      assert.deepEqual([g.vm.usedPages, g.vm.indirectShadowPages], [0, 0]);
      g.read(0, 0x9008);
      assert.equal(stats.pf_taken, 1);
    });

    it(`G17 a huge host page is one leaf under ${paging}`, () => {
      const g = flatGuest({
        paging,
        tdpMmu: true,
        backing: { kind: "anonymous", writable: true, thp: true },
      });
      g.write(0, 0x9000, 1);
      assert.equal(g.spte(sp(2)), HUGE[paging]);
      assert.deepEqual([g.vm.stats.pages_2m, g.vm.core.state.tdpMmu?.linkedPages], [1, 2]);
    });
  }

  it("G17 mmio: an entry that is a misconfiguration, told again by what it says", () => {
    const g = flatGuest({ paging: "ept", tdpMmu: true });
    assert.deepEqual(g.read(0, 0xd0000000), { kind: "device", gpa: 0xd0000000 });
    assert.equal(g.spte(sp(3, 0)), 0x00000000d0000016n);
    assert.equal(g.vcpu.mmu.stats.pf_mmio_spte_created, 1);
    g.vcpu.mmu.mmioCache = undefined;
    g.log.length = 0;
    assert.deepEqual(g.read(0, 0xd0000010), { kind: "device", gpa: 0xd0000010 });
    assert.deepEqual(g.events(), [
      "check_mmio_spte: spte d0000016 kvm_gen 2 spte-gen 2 valid 1",
      "handle_mmio_page_fault: addr:d0000010 gfn d0000 access 0",
    ]);
  });
});

for (const tdpMmu of [true, false])
  describe(`golden trace G15: fast page fault under EPT, ${tdpMmu ? "TDP MMU" : "shadow pages"}`, () => {
    it("G15 F-096 F-100 F-147 W comes back without the lock, told by an exit on a present page", () => {
      const g = flatGuest({ paging: "ept", tdpMmu, knobs: { pml: false } });
      g.write(0, 0x9000, 1);
      g.setSlot(0, 0, 0x1000, GUEST_HVA, SLOT_FLAG.logDirty);
      g.stepped("logging");
      const { stats } = g.vcpu.mmu;
      const before = { ...stats };
      g.log.length = 0;
      assert.equal(g.write(0, 0x9000, 2).kind, "ok");
      assert.deepEqual(
        g.log.filter(({ name }) => EXITS.includes(name)).map(({ fields }) => fields),
        [
          { vcpu: 0, reason: "EPT_VIOLATION", rip: 0x100000n, info1: 0x1aan, info2: 0 },
          { vcpu: 0, rip: 0x100000n, address: 0x9000n, error_code: 0x100000003 },
        ],
      );
      const [fast] = g.events(["fast_page_fault"]);
      assert.match(fast ?? "", /old 0x8600000100009b75 new 8600000100009b77 spurious 0 fixed 1$/);
      assert.deepEqual([stats.pf_fast - before.pf_fast, stats.pf_fixed - before.pf_fixed], [1, 1]);
      const log = g.vm.getDirtyLog(0);
      assert.equal(log instanceof Uint32Array && log[0], 0x200);
    });
  });
