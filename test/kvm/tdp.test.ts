import assert from "node:assert/strict";
import { GUEST_HVA, performHostAction } from "../../src/host";
import { type ShadowPage, SLOT_FLAG } from "../../src/kvm";
import { CR0, CR4, EFER, hva } from "../../src/x86";
import { checked } from "./checked";
import { Guest, type GuestOptions } from "./guest";
import { firstGuest, sp, touchedGuest } from "./tables";

/** Exits since the last call: reason, info1, info2. */
function exits(g: Guest): string[] {
  const lines = g.log
    .filter(({ name }) => name === "kvm_exit")
    .map(({ fields }) => {
      const info2 = fields.info2 ? ` ${(fields.info2 as number).toString(16)}` : "";
      return `${fields.reason} ${(fields.info1 as bigint).toString(16)}${info2}`;
    });
  g.log.length = 0;
  return lines;
}

const with2d = (paging: "ept" | "npt", tdpMmu: boolean, more: GuestOptions = {}): GuestOptions => ({
  ...checked,
  paging,
  tdpMmu,
  ...more,
});

/** The root page of the first vCPU. */
function rootOf(g: Guest): ShadowPage {
  const { root } = g.vcpu.mmu;
  assert.equal(root.kind, "page");
  return root.kind === "page" ? root.page : assert.fail();
}

/** A PAE guest: PDPTEs at 0x1020, gva 0x5000 → gpa 0x9000. */
function paeGuest(options: GuestOptions): Guest {
  const g = new Guest(options)
    .entry(0x1020, 0x3001)
    .entry(0x3000, 0x4007)
    .entry(0x4028, 0x9067)
    .entry(0x9000, 0x1234);
  g.setEfer(EFER.NX);
  g.movCr3(0x1020);
  return g;
}

for (const [paging, tdpMmu] of [
  ["ept", true],
  ["ept", false],
  ["npt", true],
  ["npt", false],
] as const)
  describe(`a guest under ${paging}, ${tdpMmu ? "TDP MMU" : "shadow pages"}`, () => {
    const options = with2d(paging, tdpMmu);

    it("F-033 F-050 its tables are its own: none is shadowed or protected", () => {
      const g = touchedGuest(options);
      assert.equal(g.vm.indirectShadowPages, 0);
      assert.equal(g.entryAt(0x4028), 0x9067n, "A and D are the processor's");
      assert.equal(g.entryAt(0x1000), 0x2027n);
      g.entry(0x4030, 0x4067);
      g.read(0, 0x6000);
      g.log.length = 0;
      assert.equal(g.write(0, 0x6028, 0xb067).kind, "ok");
      assert.equal(g.write(0, 0x6030, 0x4067).kind, "ok");
      assert.deepEqual(exits(g), [], "writes to a page table");
      assert.equal(g.read(0, 0x5000).kind, "ok");
    });

    it("F-094 F-097 its page faults, CR3 loads and INVLPGs are no exits", () => {
      const g = touchedGuest(options);
      exits(g);
      assert.deepEqual(g.read(3, 0x7000), { kind: "fault", error: 4, cr2: 0x7000n });
      g.movCr3(0x1000).invlpg(0x5000).invpcid(2, 0, 0n);
      assert.deepEqual(exits(g), []);
      const { stats } = g.vcpu.mmu;
      assert.equal(stats.pf_guest, 0);
      assert.equal(stats.invlpg, 0);
    });

    it("F-025 F-029 obeys CR0.WP, SMEP and SMAP of the guest, with one root for all", () => {
      const g = touchedGuest(options).entry(0x4028, 0x9065);
      const root = rootOf(g);
      g.invlpg(0x5000);
      assert.equal(g.write(0, 0x5000, 1).kind, "fault");
      g.movCr0(CR0.PE | CR0.PG);
      assert.equal(g.write(0, 0x5000, 1).kind, "ok");
      g.movCr4(CR4.PAE | CR4.SMAP);
      assert.equal(g.read(0, 0x5000).kind, "fault");
      g.movCr4(CR4.PAE | CR4.SMEP);
      assert.equal(g.fetch(0, 0x5000).kind, "fault");
      assert.equal(rootOf(g), root);
    });

    it("F-039 a write to a read-only slot is a device's, read is memory", () => {
      const g = firstGuest(options).entry(0x4028, 0x2000067);
      g.setSlot(1, 0x2000, 16, GUEST_HVA, SLOT_FLAG.readonly);
      assert.deepEqual(g.write(0, 0x5008, 1), { kind: "device", gpa: 0x2000008 });
      assert.equal(g.read(0, 0x5008).kind, "ok");
      assert.deepEqual(g.write(0, 0x5008, 1), { kind: "device", gpa: 0x2000008 });
    });

    it("F-098 F-141 mmio through the guest's own tables, until a slot is there", () => {
      const g = firstGuest(options).entry(0x4028, 0xd0000067);
      assert.deepEqual(g.read(0, 0x5008), { kind: "device", gpa: 0xd0000008 });
      assert.deepEqual(g.read(0, 0x5010), { kind: "device", gpa: 0xd0000010 });
      assert.equal(g.vcpu.mmu.stats.pf_mmio_spte_created, 1);
      g.setSlot(1, 0xd0000, 16, GUEST_HVA);
      assert.equal(g.read(0, 0x5008).kind, "ok");
    });

    it("F-017 a PAE guest: PDPTEs in registers under EPT, in memory under NPT", () => {
      const g = paeGuest(options);
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 0x1234n, emulated: false });
      g.entry(0x1028, 0x3001);
      const seen = g.read(0, 0x40005000);
      assert.equal(seen.kind, paging === "npt" ? "ok" : "fault");
      g.movCr3(0x1020);
      assert.equal(g.read(0, 0x40005000).kind, "ok");
      g.entry(0x1030, 0x3007);
      const before = g.cpu.cr3;
      const fault = g.vcpu.cr3Written(before, before, false);
      assert.equal(fault?.vector, paging === "npt" ? undefined : 13);
      if (paging === "npt")
        assert.deepEqual(g.read(3, 0x80005000), { kind: "fault", error: 0xd, cr2: 0x80005000n });
    });

    it("F-017 a bad PDPTE: KVM refuses the register write it emulates, and finds it in its own walks", () => {
      const g = paeGuest(options).entry(0x1030, 0x3007);
      g.vcpu.cr0Written(CR0.PE | CR0.PG | CR0.WP, CR0.PE);
      const fault = g.vcpu.cr0Written(CR0.PE, CR0.PE | CR0.PG | CR0.WP);
      assert.equal(fault?.vector, 13);
      if (paging === "ept") return;
      const walk = g.vcpu.emulate(0x80005000n, 2);
      assert.deepEqual([walk.kind, walk.error], ["fault", 0xb]);
    });

    it("F-119 the host takes a page away: the next use maps another", () => {
      const g = touchedGuest(options);
      g.write(3, 0x5000, 0x55);
      performHostAction(g.process, g.trace, "migrate", hva(GUEST_HVA + 0x9000));
      g.stepped("a migration");
      const { pf_taken } = g.vcpu.mmu.stats;
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 0x55n, emulated: false });
      assert.equal(g.vcpu.mmu.stats.pf_taken, pf_taken + 1);
    });

    it("the second half of a run from a snapshot is the same", () => {
      const g = touchedGuest(options);
      const saved = { vm: g.vm.save(), host: g.host.save(), process: g.process.save() };
      const rest = () => {
        g.log.length = 0;
        g.write(3, 0x5000, 7);
        g.read(0, 0x5008);
        return [g.log.map(({ name }) => name), g.vm.save()];
      };
      g.cpu.flushTlb();
      const once = rest();
      g.host.restore(saved.host);
      g.process.restore(saved.process);
      g.cpu.flushTlb();
      g.vm.restore(saved.vm);
      assert.deepEqual(rest(), once);
    });

    it("without paging, and back: roots are found again", () => {
      const g = touchedGuest(options);
      const misses = g.vm.stats.mmu_cache_miss;
      g.movCr0(CR0.PE);
      assert.equal(g.read(0, 0x9000).kind, "ok");
      g.movCr0(CR0.PE | CR0.PG | CR0.WP);
      assert.equal(g.read(3, 0x5000).kind, "ok");
      assert.equal(g.vm.stats.mmu_cache_miss, misses);
    });
  });

describe("exits of two-dimensional paging", () => {
  it("G17 EPT: the guest's tables are reached through violations of their own", () => {
    const g = firstGuest(with2d("ept", true));
    g.enter();
    exits(g);
    g.read(3, 0x5000);
    // With A/D flags tables are written as they are read; the page last.
    const table = "EPT_VIOLATION 83";
    assert.deepEqual(exits(g), [table, table, table, table, "EPT_VIOLATION 181"]);
    const { stats } = g.vcpu.mmu;
    assert.deepEqual([stats.pf_taken, stats.pf_fixed], [5, 5]);
  });

  it("G17 NPT: the same as nested page faults", () => {
    const g = firstGuest(with2d("npt", false));
    g.enter();
    exits(g);
    g.write(0, 0x5000, 1);
    assert.deepEqual(exits(g), [
      "npf 200000006 1000",
      "npf 200000006 2000",
      "npf 200000006 3000",
      "npf 200000006 4028",
      "npf 100000006 9000",
    ]);
    assert.equal(g.spte(sp(0)), 0x200001827n);
  });

  it("register writes exit as each vendor intercepts them", () => {
    for (const [paging, cr0, cr4] of [
      ["ept", [], ["CR_ACCESS 4"]],
      ["npt", ["cr0_sel_write 0"], ["write_cr4 4", "write_cr4 4"]],
    ] as const) {
      const g = touchedGuest(with2d(paging, true));
      exits(g);
      g.movCr0(CR0.PE | CR0.PG);
      assert.deepEqual(exits(g), cr0, "CR0.WP");
      g.movCr4(CR4.PAE | CR4.PGE).movCr4(CR4.PAE | CR4.PGE | CR4.SMEP);
      assert.deepEqual(exits(g), cr4, "CR4.PGE, then SMEP");
    }
  });

  it("F-062 EPT without A/D flags: the role says so, and tables are read as data", () => {
    const g = firstGuest(with2d("ept", false, { knobs: { eptad: false } }));
    g.enter();
    assert.equal(rootOf(g).role, 0x13784);
    exits(g);
    g.read(3, 0x5000);
    assert.deepEqual(exits(g).slice(0, 1), ["EPT_VIOLATION 81"]);
    assert.equal(g.spte(sp(0)), 0x8010000200001807n, "no A bit in a pointer to a table");
    assert.equal(g.spte(sp(3, 9)) & 0x30000000000000n, 0x10000000000000n);
    g.write(3, 0x5000, 1);
    assert.equal(g.read(3, 0x5000).kind, "ok");
    g.stepped("a write");
  });

  it("F-062 F-155 ageing without A/D flags takes access and flushes nothing: the first miss gives it back", () => {
    for (const tdpMmu of [true, false]) {
      const g = touchedGuest(with2d("ept", tdpMmu, { knobs: { eptad: false } }));
      const at = hva(GUEST_HVA + 0x9000);
      const aged = g.process.notifiers.clearYoung({ start: at, end: hva(at + 4096) });
      assert.equal(aged, true);
      g.stepped("ageing");
      assert.equal(g.process.notifiers.clearYoung({ start: at, end: hva(at + 4096) }), false);
      g.cpu.flushTlb();
      const before = g.vcpu.mmu.stats.pf_fast;
      assert.equal(g.write(3, 0x5000, 5).kind, "ok");
      assert.equal(g.vcpu.mmu.stats.pf_fast, before + 1);
      assert.equal(g.process.notifiers.clearYoung({ start: at, end: hva(at + 4096) }), true);
    }
  });

  it("F-008 the log of dirty flags is part of a snapshot, and none is forgotten", () => {
    const g = touchedGuest(with2d("ept", true));
    g.setSlot(0, 0, 0x1000, GUEST_HVA, SLOT_FLAG.logDirty);
    g.vm.getDirtyLog(0);
    g.write(3, 0x5000, 2);
    const saved = { vm: g.vm.save(), host: g.host.save(), process: g.process.save() };
    const inBuffer = saved.vm.contexts[0]?.pml?.index;
    assert.ok(inBuffer !== undefined && inBuffer < 511, `index ${inBuffer}`);
    const dirty = () => {
      const log = g.vm.getDirtyLog(0);
      return log instanceof Uint32Array ? (log[0]! >>> 9) & 1 : -1;
    };
    assert.equal(dirty(), 1);
    assert.equal(g.vcpu.mmu.pml?.index, 511);
    g.host.restore(saved.host);
    g.process.restore(saved.process);
    g.cpu.flushTlb();
    g.vm.restore(saved.vm);
    assert.equal(g.vcpu.mmu.pml?.index, inBuffer);
    assert.equal(dirty(), 1);
  });

  it("F-036 a root is direct when the hardware does as many translations as are needed", () => {
    for (const [paging, pages, direct] of [
      ["shadow", false, true],
      ["shadow", true, false],
      ["ept", false, true],
      ["ept", true, true],
      ["npt", true, true],
    ] as const) {
      const g = firstGuest({ ...checked, paging });
      if (!pages) g.movCr0(CR0.PE);
      assert.equal(g.vcpu.mmu.direct, direct, `${paging}, paging ${pages}`);
    }
  });

  it("5 levels where the guest's addresses have more than 48 bits", () => {
    for (const paging of ["ept", "npt"] as const) {
      const g = firstGuest(
        with2d(paging, true, { features: { physicalBits: 52 }, hostPhysicalBits: 51 }),
      );
      g.enter();
      assert.equal(rootOf(g).level, 5);
      assert.equal(g.read(3, 0x5000).kind, "ok");
    }
  });
});
