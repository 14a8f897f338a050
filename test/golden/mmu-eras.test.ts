import assert from "node:assert/strict";
import { GUEST_HVA, performHostAction } from "../../src/host";
import { type Era, OF_2010, OF_2012, type Profile, SLOT_FLAG } from "../../src/kvm";
import { CR0, CR4, gfn } from "../../src/x86";
import { checked } from "../kvm/checked";
import { flatGuest } from "../kvm/flat-guest";
import { Guest } from "../kvm/guest";
import { HUGE, hugeGuest } from "../kvm/huge-guest";
import { firstGuest, sp, touchedGuest } from "../kvm/tables";

/** Flag sets of the golden traces (reference 5.0) as the older kernels write them. */
interface Flags {
  readonly profile: Profile;
  /** A leaf for reads, and one for writes before the hardware has set D. */
  readonly read: bigint;
  readonly write: bigint;
  readonly hostWritable: bigint;
  /** A writable leaf of EPT, whose A and D flags these kernels do not use. */
  readonly ept: bigint;
}
const NONLEAF = 0x27n;
const D = 0x40n;
const A = 0x20n;
const ERAS: readonly Flags[] = [
  { profile: OF_2010, read: 0x225n, write: 0x227n, hostWritable: 0x200n, ept: 0x277n },
  { profile: OF_2012, read: 0x425n, write: 0xc27n, hostWritable: 0x400n, ept: 0xc77n },
];
/** G1 to G18. */
const TRACES = Array.from({ length: 18 }, (_, i) => `G${i + 1}`);
/** Golden traces that an era cannot have, and why: it has all the others. */
const WITHOUT: Partial<Record<Era, Readonly<Record<string, string>>>> = {
  "2010": {
    G15: "the fast page fault came with 3.6",
    G18: "nested paging for guests was in progress, says the document of the time",
  },
  "2012": { G18: "Penumbra's guests of that era are not offered VMX or SVM" },
};

/** Titles of the traces of this file. */
const titles: string[] = [];
function trace(title: string, run: () => void): void {
  titles.push(title);
  it(title, run);
}

const FAST = ["fast_page_fault", "kvm_mmu_set_spte", "kvm_mmu_spte_requested"];
/** The mark of 2012 for a gfn without memory: every address bit the host does not have, or EPT's reserved type. */
const MARKS = { npt: 0x7fffc00000000007n, ept: 0x1fe000000000006n };
const made = (level: number): string =>
  `kvm_mmu_get_page: sp gfn 0 ${level} q0 direct wux nxe root 0 sync new`;

for (const { profile, read, write, hostWritable, ept } of ERAS) {
  const options = { ...checked, profile };
  const era = profile.era;
  const leaf = (frame: number, flags: bigint): bigint => (BigInt(0x100000 + frame) << 12n) | flags;
  const touched = (): Guest => touchedGuest(options);

  describe(`golden traces of ${era}`, () => {
    trace(`G1 F-046 F-056 F-057 in ${era}: first touch`, () => {
      const g = firstGuest(options).enter();
      g.log.length = 0;
      g.read(3, 0x5000);
      assert.equal(g.spte(sp(0)), 0x200001000n | NONLEAF);
      assert.equal(g.spte(sp(3, 5)), leaf(9, read));
      assert.ok(
        g
          .events(["kvm_mmu_get_page"])[0]
          ?.startsWith("kvm_mmu_get_page: sp gfn 2 3 pae q0 wux nxe root 0 sync new"),
      );
      g.write(3, 0x5000, 1);
      assert.equal(g.spte(sp(3, 5)), leaf(9, write | D), "the hardware set D");
      assert.equal(g.entryAt(0x4028), 0x9067n);
      g.log.length = 0;
      assert.deepEqual(g.read(3, 0x7000), { kind: "fault", error: 4, cr2: 0x7000n });
      const [fault] = g.log.filter(({ name }) => name === "kvm_page_fault");
      assert.deepEqual(fault?.fields, { address: 0x7000n, error_code: 4 });
      assert.deepEqual(g.events(["kvm_page_fault"]), ["kvm_page_fault: address 7000 error_code 4"]);
    });

    trace(`G2 F-074 F-075 in ${era}: a table shared by two roots, and no root is kept`, () => {
      const g = touched().entry(0xa000, 0x2027);
      g.movCr3(0xa000);
      const [first] = g.vm.pagesOf(gfn(1));
      assert.equal(first?.rootCount, 0);
      g.read(3, 0x5000);
      assert.equal(g.vm.pagesOf(gfn(2))[0]?.parentPtes instanceof Object, true, "multimapped");
      g.log.length = 0;
      g.movCr3(0x1000);
      assert.match(g.events(["kvm_mmu_get_page"])[0] ?? "", /gfn 1 4 .* existing$/);
      assert.deepEqual(
        g.vcpu.prevRoots.map((root) => root === undefined),
        [true, true, true],
      );
    });

    trace(`G3 F-116 in ${era}: invlpg makes the spte anew`, () => {
      const g = touched().entry(0x4030, 0x4067).entry(0xb000, 7);
      g.write(0, 0x6028, 0xb067);
      assert.equal(g.vm.stats.mmu_unsync, 1);
      g.invlpg(0x5000);
      assert.equal(g.spte(sp(3, 5)), leaf(0xb, write & ~A), "present at once, not used yet");
      const { pf_taken } = g.vcpu.mmu.stats;
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 7n, emulated: false });
      assert.equal(g.vcpu.mmu.stats.pf_taken, pf_taken);
    });

    trace(`G3b F-090 in ${era}: a CR3 reload syncs`, () => {
      const g = touched().entry(0x4030, 0x4067);
      g.write(0, 0x6028, 0xb067);
      g.movCr3(0x1000);
      assert.equal(g.vm.stats.mmu_unsync, 0);
      assert.equal(g.spte(sp(3, 5)), 0n);
      assert.equal(g.spte(sp(3, 6)), leaf(4, hostWritable | 0x5n), "read-only, made anew");
      g.write(0, 0x6028, 0xb067);
      assert.equal(g.vm.stats.mmu_unsync, 1);
    });

    it(`in ${era} a page that a sync leaves empty goes`, () => {
      const g = touched().entry(0x9008, 0).entry(0x3008, 0xc067).entry(0xc028, 0x9067);
      g.entry(0xc030, 0x4067);
      // gva 0x206000 maps the page table of gva 0x5000, through another table.
      g.write(0, 0x206028, 0);
      assert.equal(g.vm.pagesOf(gfn(4))[0]?.unsync, true);
      g.movCr3(0x1000);
      assert.deepEqual(g.vm.pagesOf(gfn(4)), []);
      assert.deepEqual(g.read(3, 0x5000), { kind: "fault", error: 4, cr2: 0x5000n });
    });

    trace(`G4 F-087 in ${era}: the store to an upper table is emulated`, () => {
      const g = touched().entry(0x4038, 0x3067);
      assert.deepEqual(g.write(0, 0x7008, 0x5067), { kind: "ok", value: 0x5067n, emulated: true });
      assert.deepEqual([g.vm.stats.mmu_pte_write, g.vm.stats.mmu_pde_zapped], [1, 1]);
      g.write(0, 0x7000, 0x4067);
      assert.equal(g.spte(sp(2)), 0n);
    });

    it(`F-087 in ${era}: an spte of a level-1 table is made anew after an emulated store`, () => {
      const g = touched().entry(0xb000, 7);
      g.emulatedStore(0x4028, 0xb067);
      assert.equal(g.spte(sp(3, 5)), leaf(0xb, write & ~A));
    });

    trace(`G4b F-080 in ${era}: three stores in a row zap the page`, () => {
      const g = touched().entry(0x2008, 0x6067).entry(0x6000, 0x8067).entry(0x8000, 0x9067);
      g.entry(0x4040, 0x6067);
      g.read(3, 0x40000000);
      for (let i = 0; i < 3; i++) g.write(0, 0x8010, 0x8067);
      assert.equal(g.vm.stats.mmu_flooded, 1);
      assert.deepEqual(g.vm.pagesOf(gfn(6)), []);
      g.write(0, 0x8010, 0x8067);
      assert.equal(g.vm.stats.mmu_pte_write, 3, "native from now on");
    });

    trace(`G5 F-052 F-053 in ${era}: 32-bit paging, in quadrants`, () => {
      const g = new Guest(options).entry32(0x1004, 0x2067).entry32(0x280c, 0x9067);
      g.start("32-bit", 0x1000);
      g.read(3, 0x603000);
      assert.equal(g.spte(sp(0, 3)), 0x200004000n | NONLEAF);
      assert.equal(g.spte(sp(4, 3)), leaf(9, write));
      g.emulatedStore(0x1004, 0x2067, 4);
      assert.deepEqual([g.spte(sp(0, 2)), g.spte(sp(0, 3))], [0n, 0n]);
      assert.equal(g.vm.pagesOf(gfn(2))[0]?.parentPtes, 0);
    });

    trace(`G6 F-017 in ${era}: PAE, and PDPTRs that change free the root`, () => {
      const g = new Guest(options).entry(0x1020, 0x2001).entry(0x1030, 0x3001);
      g.entry(0x2000, 0x4067).entry(0x4028, 0x9067).start("PAE", 0x1020);
      g.read(3, 0x5000);
      const [directory] = g.vm.pagesOf(gfn(2));
      assert.deepEqual([directory?.level, directory?.rootCount], [2, 1]);
      assert.deepEqual(g.read(3, 0x40000000), { kind: "fault", error: 4, cr2: 0x40000000n });
      g.entry(0x1028, 0x4001);
      g.movCr3(0x1020);
      assert.equal(g.vm.pagesOf(gfn(4)).length, 2, "as a page table and as a directory");
    });

    trace(`G7 F-021 F-133 in ${era}: a 4M page is two 2M ranges`, () => {
      const g = new Guest(options).entry32(0x1008, 0x004000e7);
      g.start("32-bit", 0x1000, { cr4: CR4.PSE });
      g.write(3, 0x800000, 1);
      g.write(3, 0xa00000, 2);
      assert.deepEqual(
        [0x400, 0x600].map((frame) => g.vm.pagesOf(gfn(frame))[0]?.direct),
        [true, true],
      );
      assert.deepEqual([g.entryAt(0x400000), g.entryAt(0x600000)], [1n, 2n]);
    });

    trace(`G8 in ${era}: a 2M guest page on 4K host pages`, () => {
      const g = firstGuest(options).entry(0x3008, 0x2000a7).enter();
      g.read(3, 0x203000);
      assert.equal(g.spte(sp(3, 3)), leaf(0x203, read));
      g.write(3, 0x203000, 1);
      assert.equal(g.spte(sp(4, 3)), leaf(0x203, write | D));
    });

    trace(`G9 F-134 F-135 F-137 in ${era}: a 2M guest page on a 2M host page`, () => {
      const g = firstGuest({
        ...options,
        backing: { kind: "anonymous", writable: true, thp: true },
      });
      g.entry(0x3008, 0x2000e7).enter();
      g.write(3, 0x203000, 1);
      assert.equal(g.spte(sp(2, 1)), leaf(0x200, write | D | 0x80n));
      assert.equal(g.vm.stats.pages_2m, 1);
      assert.deepEqual(g.vm.pagesOf(gfn(0x200)), [], "no direct page");
    });

    trace(`G10 F-136 F-138 in ${era}: a guest table inside makes the large leaf go`, () => {
      const g = firstGuest({
        ...options,
        backing: { kind: "anonymous", writable: true, thp: true },
      });
      g.entry(0x3008, 0x2000e7).entry(0x3010, 0x204067).entry(0x204000, 0x9067).enter();
      g.write(3, 0x203000, 1);
      g.read(3, 0x400000);
      assert.equal(g.spte(sp(2, 1)), 0n);
      g.write(3, 0x203000, 2);
      assert.equal(g.vm.pagesOf(gfn(0x200))[0]?.direct, true);
      assert.equal(g.entryAt(0x203000), 2n);
    });

    trace(`G11 F-125 F-126 in ${era}: cr0.wp = 0 and its two sptes`, () => {
      const g = firstGuest(options).entry(0x4028, 0x9065);
      g.cpu.cr0 &= ~CR0.WP;
      g.vcpu.restored();
      g.enter();
      g.read(0, 0x5000);
      assert.equal(g.spte(sp(3, 5)), leaf(9, read));
      g.write(0, 0x5000, 1);
      assert.equal(g.spte(sp(3, 5)), leaf(9, (write & ~4n) | D));
      g.read(3, 0x5000);
      assert.equal(g.spte(sp(3, 5)) & 6n, 4n);
      assert.deepEqual(g.write(3, 0x5000, 1), { kind: "fault", error: 7, cr2: 0x5000n });
    });

    trace(`G13 in ${era}: a slot goes with every page, one by one`, () => {
      const g = touched();
      assert.equal(g.setSlot(0, 0, 0, GUEST_HVA), "delete");
      assert.equal(g.vm.usedPages, 1, "the root is held by the vCPU");
      assert.deepEqual(g.events(["kvm_mmu_zap_all_fast"]), []);
      g.vcpu.enter();
      assert.equal(g.vm.usedPages, 0);
      assert.equal(g.vcpu.userExit, "SHUTDOWN");
      assert.match(
        g.vcpu.tripleFault ?? "",
        /^triple fault: CR3 0x1000 points outside the memslots/,
      );
    });

    trace(`G13d F-166 in ${era}: the dirty log`, () => {
      const g = touched();
      g.write(3, 0x5000, 1);
      g.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
      assert.equal(g.spte(sp(3, 5)) & 2n, 0n);
      g.write(3, 0x5000, 2);
      const log = g.vm.getDirtyLog(0);
      assert.ok(log instanceof Uint32Array);
      assert.equal(log[0], 0x200);
      assert.equal(g.spte(sp(3, 5)) & 2n, 0n);
    });

    trace(`G14 F-119 in ${era}: the host swaps a page out`, () => {
      const g = touched();
      performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(9)));
      assert.equal(g.spte(sp(3, 5)), 0n);
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 1n, emulated: false });
    });

    trace(`G16 F-031 in ${era}: no paging`, () => {
      const g = new Guest(options).start("none", 0);
      g.read(0, 0x7c00);
      const [page] = g.vm.pagesOf(gfn(0)).filter((each) => each.level === 1);
      assert.ok(page?.direct);
    });

    for (const paging of ["ept", "npt"] as const) {
      const table = paging === "ept" ? 7n : NONLEAF;
      const flags = paging === "ept" ? ept : write | D;

      trace(`G17 F-033 F-036 in ${era}: a write through ${paging}, on shadow pages`, () => {
        const g = flatGuest({ paging, profile });
        assert.equal(g.vm.core.state.tdpMmu, undefined);
        assert.deepEqual(g.events(), [made(4)]);
        assert.equal(g.write(0, 0x9000, 1).kind, "ok");
        const spte = leaf(9, paging === "ept" ? ept : write).toString(16);
        assert.deepEqual(g.events(), [
          "kvm_mmu_spte_requested: gfn 9 pfn 100009 level 1",
          made(3),
          made(2),
          made(1),
          `kvm_mmu_set_spte: gfn 9 spte ${spte} (${paging === "ept" ? "rwx" : "rwxu"}) level 1 at 200003048`,
        ]);
        assert.deepEqual(
          [sp(0), sp(1), sp(2), sp(3, 9), sp(3, 8)].map((at) => g.spte(at)),
          [0x200001000n | table, 0x200002000n | table, 0x200003000n | table, leaf(9, flags), 0n],
        );
        const { stats } = g.vcpu.mmu;
        assert.deepEqual([stats.pf_taken, stats.pf_fixed, g.vm.indirectShadowPages], [1, 1, 0]);
        g.read(0, 0x9008);
        assert.equal(stats.pf_taken, 1);
      });

      trace(`G17 F-134 in ${era}: a huge host page through ${paging}`, () => {
        const backing = { kind: "anonymous", writable: true, thp: true } as const;
        const g = flatGuest({ paging, profile, backing });
        g.write(0, 0x203000, 1);
        assert.equal(g.spte(sp(2, 1)), leaf(0x200, flags | 0x80n));
      });

      trace(`G17 F-110 in ${era}: mmio through ${paging}`, () => {
        const g = flatGuest({ paging, profile });
        const device = { kind: "device", gpa: 0xd0000000 } as const;
        assert.deepEqual(g.read(0, 0xd0000000), device);
        assert.equal(g.spte(sp(3)), era === "2010" ? 0n : MARKS[paging] | 0xd0000000n);
        g.log.length = 0;
        assert.deepEqual(g.read(0, 0xd0000000), device);
        // Without a mark the hardware finds nothing there each time.
        const code = g.log.find(({ name }) => name === "kvm_page_fault")?.fields.error_code;
        assert.equal((Number(code) & 8) !== 0, era === "2012");
        assert.deepEqual(g.events(["check_mmio_spte"]), []);
      });
    }
  });
}

describe("golden trace G15 in the older eras", () => {
  for (const paging of ["ept", "npt"] as const) {
    /** gpa 0x9000 written, then its slot logged. */
    const logged = (profile: Profile): Guest => {
      const g = flatGuest({ paging, profile });
      g.write(0, 0x9000, 1);
      assert.equal(g.setSlot(0, 0, 0x1000, GUEST_HVA, SLOT_FLAG.logDirty), "flags");
      g.stepped("logging");
      g.log.length = 0;
      return g;
    };
    const firstLogWord = (g: Guest): unknown => {
      const log = g.vm.getDirtyLog(0);
      return log instanceof Uint32Array && log[0];
    };

    trace(`G15 F-096 F-100 F-147 2012: W comes back without the lock, under ${paging}`, () => {
      const g = logged(OF_2012);
      const old = g.spte(sp(3, 9));
      assert.equal(old & 2n, 0n);
      let locked = false;
      g.trace.on("point", ({ fields }) => {
        locked ||= fields.point === "P2";
      });
      const { stats } = g.vcpu.mmu;
      const before = { ...stats };
      assert.equal(g.write(0, 0x9000, 2).kind, "ok");
      const [fast, ...more] = g.events(FAST);
      assert.match(
        fast ?? "",
        new RegExp(
          `^fast_page_fault: vcpu 0 gva 9000 error_code P\\|W(\\|U)? sptep 200003048 old 0x${old.toString(16)} new ${(old | 2n).toString(16)} spurious 0 fixed 1$`,
        ),
      );
      assert.deepEqual([more, locked], [[], false]);
      assert.deepEqual([stats.pf_fast - before.pf_fast, stats.pf_fixed - before.pf_fixed], [1, 1]);
      assert.equal(firstLogWord(g), 0x200);
    });

    it(`2010 has no fast page fault: W comes back under the lock, under ${paging}`, () => {
      const g = logged(OF_2010);
      assert.equal(g.write(0, 0x9000, 2).kind, "ok");
      assert.deepEqual(
        g.events(FAST).map((line) => line.split(":")[0]),
        ["kvm_mmu_spte_requested", "kvm_mmu_set_spte"],
      );
      assert.equal(firstLogWord(g), 0x200);
    });
  }
});

describe("golden trace G12 in the older eras", () => {
  const mmio = (profile: Profile): Guest =>
    firstGuest({ ...checked, profile })
      .entry(0x4028, 0xd0000067)
      .enter();

  trace("G12 F-105 2012: the mark has no generation, and goes when a slot is made", () => {
    const g = mmio(OF_2012);
    assert.deepEqual(g.read(0, 0x5000), { kind: "device", gpa: 0xd0000000 });
    assert.equal(g.spte(sp(3, 5)), 0x7fffc000d0000007n);
    g.log.length = 0;
    // The vCPU remembers no page: the mark alone tells.
    g.vcpu.mmu.mmioCache = undefined;
    assert.deepEqual(g.read(0, 0x5000), { kind: "device", gpa: 0xd0000000 });
    assert.deepEqual(g.events(["check_mmio_spte", "handle_mmio_page_fault", "mark_mmio_spte"]), [
      "handle_mmio_page_fault: addr:5000 gfn d0000 access 6",
    ]);
    g.setSlot(0, 0, 0, GUEST_HVA);
    assert.equal(g.vm.usedPages, 1);
  });

  trace("G12 F-110 2010: no mark and no cache, each access takes the whole way", () => {
    const g = mmio(OF_2010);
    for (let i = 1; i <= 3; i++) {
      assert.deepEqual(g.read(0, 0x5000), { kind: "device", gpa: 0xd0000000 });
      assert.equal(g.vcpu.mmu.stats.pf_taken, i);
    }
    assert.deepEqual(g.events(["mark_mmio_spte"]), []);
    assert.equal(g.vcpu.mmu.mmioCache, undefined);
  });
});

describe("limits of the older eras", () => {
  it("F-071 a page notes the slots it maps", () => {
    const g = touchedGuest({ ...checked, profile: OF_2010 });
    assert.deepEqual(
      [1, 4].map((frame) => g.vm.pagesOf(gfn(frame))[0]?.slotBitmap),
      [0, 1],
    );
  });

  it("F-071 logging goes through the pages that have the slot's bit, and passes over the others", () => {
    const g = touchedGuest({ ...checked, profile: OF_2012 });
    g.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
    assert.equal(g.spte(sp(3, 5)) & 2n, 0n);
    const blind = touchedGuest({ profile: OF_2012 });
    blind.vm.pagesOf(gfn(4))[0]!.slotBitmap = 0;
    blind.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
    assert.equal(blind.spte(sp(3, 5)) & 2n, 2n);
  });

  it("F-071 of a directory with large leaves those go when logging begins, and its tables stay", () => {
    const g = hugeGuest({ ...checked, profile: OF_2012 });
    g.read(3, 0x5000);
    g.read(3, 0x200000);
    assert.deepEqual([g.vm.stats.pages_4k, g.vm.stats.pages_2m], [1, 1]);
    const table = g.spte(sp(2));
    g.setSlot(0, 0, 0x1000, GUEST_HVA, 1);
    assert.deepEqual([g.spte(sp(2)), g.spte(HUGE)], [table, 0n]);
    assert.deepEqual([g.vm.stats.pages_4k, g.vm.stats.pages_2m], [1, 0]);
  });

  it("F-163 F-158 there are 32 slots in one address space, none read-only", () => {
    const g = touchedGuest({ ...checked, profile: OF_2012 });
    assert.equal(g.setSlot(32, 0x100000, 1, GUEST_HVA), "EINVAL");
    assert.equal(g.setSlot(0x10001, 0x100000, 1, GUEST_HVA), "EINVAL");
    assert.equal(g.setSlot(1, 0x100000, 1, GUEST_HVA, 2), "EINVAL");
    assert.equal(g.setSlot(31, 0x100000, 1, GUEST_HVA), "create");
  });
});

describe("golden traces by era", () => {
  for (const { profile } of ERAS)
    it(`${profile.era} has each of them, or a reason why not`, () => {
      const { era } = profile;
      const without = WITHOUT[era] ?? {};
      for (const id of TRACES) {
        const there = titles.some(
          (title) => new RegExp(`\\b${id}[a-z]?\\b`).test(title) && title.includes(era),
        );
        assert.equal(there, without[id] === undefined, `${id} in ${era}`);
      }
    });
});
