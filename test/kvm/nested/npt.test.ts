import assert from "node:assert/strict";
import { GUEST_HVA, performHostAction } from "../../../src/host";
import { type NestedNpf, SLOT_FLAG } from "../../../src/kvm";
import { handlePageFault } from "../../../src/kvm/mmu/fault";
import { CR0, CR4, EFER, gfn } from "../../../src/x86";
import { checked } from "../checked";
import { checkpoint } from "../checkpoint";
import type { Outcome } from "../scripted-vcpu";
import { NCR3, type NestedGuest, nestedGuest } from "./nested-guest";

/** Registers of an L2 in long mode. */
const LONG = { cr0: CR0.PE | CR0.PG | CR0.WP, cr4: CR4.PAE, efer: EFER.LMA | EFER.LME | EFER.NX };

/** … whose tables at ngpas 0x1000 … 0x4000 lie at gpas 0x101000 …: ngva 0x7000 → ngpa 0x5000 → gpa 0x9000. */
function pagingL2(): NestedGuest {
  const g = nestedGuest(checked);
  for (const n of [1, 2, 3, 4]) g.entry(0x23000 + 8 * n, 0x100007 + 0x1000 * n);
  g.entry(0x101000, 0x2007).entry(0x102000, 0x3007).entry(0x103000, 0x4007);
  g.entry(0x104038, 0x5007).entry(0x104040, 0x8007);
  return g;
}

/** exit_info_1 of the exit that a read of an ngpa leads to, which no address of 32 bits has. */
function refusedAt(g: NestedGuest, ngpa: bigint): number | undefined {
  assert.equal(handlePageFault(g.vm.core.state, g.vcpu.mmu, ngpa, 0x100000004), "resume");
  const { nestedExit } = g.vcpu;
  return nestedExit?.kind === "npf" ? nestedExit.exitInfo1 : undefined;
}

function exitOf(outcome: Outcome): NestedNpf | undefined {
  if (outcome.kind !== "nested-exit") return undefined;
  assert.equal(outcome.exit.kind, "npf");
  return outcome.exit as NestedNpf;
}

describe("nested NPT: ngpas above 4 GiB", () => {
  it("F-035 are translated where L1 has four levels", () => {
    const g = nestedGuest(checked);
    g.entry(0x21020, 0x22007);
    g.enterL2();
    assert.equal(refusedAt(g, 0x100005000n), undefined);
    assert.equal(g.entryAt(0x21020), 0x22027n, "L1's entry was used");
  });
});

describe("nested NPT: L2 with tables of its own", () => {
  it("F-035 they are walked by the hardware, through the shadow of L1's", () => {
    const g = pagingL2();
    g.enterL2({ ...LONG, cr3: 0x1000n });
    assert.equal(g.write(3, 0x7000, 3).kind, "ok");
    assert.equal(g.entryAt(0x9000), 3n);
    // A and D of both.
    assert.deepEqual(
      [0x101000, 0x104038, 0x23028].map((at) => g.entryAt(at)),
      [0x2027n, 0x5067n, 0x9067n],
    );
    // L2's own fault is no exit of anybody's but its own.
    assert.deepEqual(g.read(3, 0xf000), { kind: "fault", error: 4, cr2: 0xf000n });
    assert.equal(g.vcpu.nestedExit, undefined);
  });

  it("F-035 a table or a page that L1 does not map is an exit for L1, which tells them apart", () => {
    const g = pagingL2();
    g.enterL2({ ...LONG, cr3: 0x1000n });
    assert.deepEqual(exitOf(g.read(3, 0x8000)), {
      kind: "npf",
      exitCode: 0x400,
      exitInfo1: 0x100000004,
      exitInfo2: 0x8000,
    });
    g.leaveL2();
    g.write(0, 0x23020, 0);
    g.enterL2({ ...LONG, cr3: 0x1000n, flush: true });
    assert.deepEqual(exitOf(g.read(3, 0x7000)), {
      kind: "npf",
      exitCode: 0x400,
      exitInfo1: 0x200000006,
      exitInfo2: 0x4038,
    });
  });

  it("F-035 an emulated access takes both walks, and sets A and D in both", () => {
    const g = pagingL2();
    g.enterL2({ ...LONG, cr3: 0x1000n });
    g.log.length = 0;
    assert.equal(g.first.emulated(0x7008n, 2, 6n).kind, "ok");
    g.stepped("emulated store");
    const walks = g.events(["kvm_mmu_pagetable_walk"]);
    assert.deepEqual(walks, [
      "kvm_mmu_pagetable_walk: addr 7008 pferr 2 W",
      ...["1000", "2000", "3000", "4038"].map(
        (at) => `kvm_mmu_pagetable_walk: addr ${at} pferr 6 W|U`,
      ),
      "kvm_mmu_pagetable_walk: addr 5008 pferr 6 W|U",
    ]);
    assert.equal(g.entryAt(0x9008), 6n);
    assert.deepEqual(
      [0x101000, 0x104038, 0x23028].map((at) => g.entryAt(at)),
      [0x2027n, 0x5067n, 0x9067n],
    );
    // A translation that was used and faulted is forgotten by the processor.
    g.write(3, 0x7000, 3);
    assert.ok(g.cpu.tlb.has("u7"));
    g.entry(0x104038, 0x5065);
    assert.deepEqual(g.first.emulated(0x7008n, 6, 6n), { kind: "fault", error: 7, cr2: 0x7008n });
    assert.ok(!g.cpu.tlb.has("u7"));
    // Not mapped by L2, then not by L1: the second is no exit of the hardware's, and counts as the page.
    assert.deepEqual(g.first.emulated(0xf000n, 2, 6n), { kind: "fault", error: 2, cr2: 0xf000n });
    assert.deepEqual(exitOf(g.first.emulated(0x8000n, 2, 6n)), {
      kind: "npf",
      exitCode: 0x400,
      exitInfo1: 0x100000006,
      exitInfo2: 0x8000,
    });
  });

  it("F-035 L2 under PAE paging: its PDPTEs are memory behind L1's tables", () => {
    const g = nestedGuest(checked);
    for (const n of [1, 3, 4]) g.entry(0x23000 + 8 * n, 0x100007 + 0x1000 * n);
    g.entry(0x101020, 0x3001).entry(0x103000, 0x4007).entry(0x104038, 0x5007);
    g.enterL2({ cr0: LONG.cr0, cr4: LONG.cr4, efer: EFER.NX, cr3: 0x1020n });
    assert.equal(g.write(3, 0x7000, 3).kind, "ok");
    assert.equal(g.first.emulated(0x7008n, 6, 4n).kind, "ok");
    assert.deepEqual([g.entryAt(0x9000), g.entryAt(0x9008)], [3n, 4n]);
    g.entry(0x101020, 0x3003);
    assert.deepEqual(g.first.emulated(0x7008n, 6, 4n), { kind: "fault", error: 15, cr2: 0x7008n });
  });

  it("F-035 registers that L2 changes are those of its own walk", () => {
    const g = pagingL2();
    g.enterL2({ ...LONG, cr3: 0x1000n });
    g.write(3, 0x7000, 3);
    g.movCr4(g.cpu.cr4 | CR4.SMEP);
    assert.deepEqual(g.fetch(0, 0x7000), { kind: "fault", error: 0x11, cr2: 0x7000n });
    // A change of mode takes all roots, L1's too (kvm_mmu_reset_context).
    assert.equal(g.vcpu.mmu.rootMmu.root.kind, "none");
    g.leaveL2();
    assert.equal(g.read(0, 0x9000).kind, "ok");
  });
});

describe("nested NPT: rights", () => {
  const EXIT = 0x100000000;
  for (const [name, gpte, access, info1] of [
    ["read-only", 0x9005n, "write", 7],
    ["not for users", 0x9003n, "read", 5],
    ["not executable", 0x8000000000009007n, "fetch", 0x15],
    ["with a reserved bit", 0x0008000000009007n, "read", 0xd],
  ] as const)
    it(`INV-X-02 a page ${name} to L1 is so to L2`, () => {
      const g = nestedGuest(checked);
      g.entry(0x23028, gpte);
      g.enterL2();
      const act = { write: () => g.write(0, 0x5000, 1), read: () => g.read(0, 0x5000) };
      const outcome = access === "fetch" ? g.fetch(0, 0x5000) : act[access]();
      assert.equal(exitOf(outcome)?.exitInfo1, EXIT + info1);
    });

  it("INV-X-02 a page that L2 has only read is not writable until L1's D is set", () => {
    const g = nestedGuest(checked);
    g.enterL2();
    g.read(0, 0x5000);
    assert.equal(g.entryAt(0x23028), 0x9027n);
    assert.equal(g.spte(0x200007028), 0x100009a25n);
    g.write(0, 0x5000, 1);
    assert.equal(g.entryAt(0x23028), 0x9067n);
    assert.equal(g.spte(0x200007028), 0x100009e67n);
  });
});

describe("nested NPT: formats", () => {
  it("F-064 four levels of L1's on a host with five: one page with one entry, then the table's own", () => {
    const g = nestedGuest({ ...checked, features: { physicalBits: 52 }, hostPhysicalBits: 51 });
    g.enterL2();
    g.write(0, 0x5000, 1);
    const { root } = g.vcpu.mmu;
    assert.ok(root.kind === "page");
    assert.deepEqual([root.page.role, root.page.gfn, root.page.hasGptes], [0x63705, 0x20, false]);
    const used = [...Array(512).keys()].filter(
      (i) => g.spte(root.page.spt + 8 * i) !== 0x8000000000000000n,
    );
    assert.deepEqual(used, [0]);
    const table = g.vm.pagesOf(gfn(0x20)).find((page) => page.hasGptes);
    assert.equal(table?.role, 0x23704);
    // Tracked once: the root is no table of L1's.
    assert.equal(g.vm.slots[0]!.arch.writeTrack[0x20], 1);
    // No table of four levels has this one.
    assert.equal(refusedAt(g, 0x1000000005000n), 0x100000004);
    g.leaveL2();
    g.write(0, 0x23028, 0xa067);
    g.enterL2({ flush: true });
    g.write(0, 0x5000, 2);
    assert.equal(g.entryAt(0xa000), 2n);
  });

  it("F-035 L1 with PAE tables: its PDPTEs are memory, and the host's root leads over pae_root", () => {
    const g = nestedGuest(checked);
    g.entry(0x30000, 0x31001).entry(0x31000, 0x23007);
    const entry = { ncr3: 0x30000, hcr4: CR4.PAE, efer: 0n };
    const l1 = { hcr0: CR0.PE | CR0.PG | CR0.WP, l1Efer: EFER.NX };
    g.enterL2({ ...entry, ...l1 });
    assert.equal(g.write(0, 0x5000, 1).kind, "ok");
    const { root, mmu } = g.vcpu.mmu;
    assert.equal(root.kind, "pae");
    assert.equal(g.spte(mmu.specialRoot!) & 0xfffn, 0x27n);
    assert.equal(g.vm.pagesOf(gfn(0x31))[0]?.role, 0x23702);
    assert.equal(exitOf(g.read(0, 0x40005000))?.exitInfo1, 0x100000004);
    g.leaveL2();
    g.write(0, 0x30008, 0x31001);
    g.enterL2({ ...entry, ...l1 });
    assert.equal(g.read(0, 0x40005000).kind, "ok");
    // The table behind a PDPTE changes under a root that is in use.
    g.entry(0x32000, 0x24007).entry(0x24028, 0xa067).entry(0x24030, 0xb067).entry(0x30000, 0x32001);
    assert.equal(g.read(0, 0x6000).kind, "ok");
    assert.equal(refusedAt(g, 0x100005000n), 0x100000004);
  });

  it("F-035 L1 with 32-bit tables: quadrants as in a shadow of a guest's own", () => {
    const g = nestedGuest(checked);
    g.entry32(0x30000, 0x31007).entry32(0x31014, 0x9007).entry32(0x30004, 0x00800087);
    const entry = { ncr3: 0x30000, hcr0: CR0.PE | CR0.PG | CR0.WP, hcr4: CR4.PSE, l1Efer: EFER.NX };
    g.enterL2(entry);
    assert.equal(g.write(0, 0x5000, 1).kind, "ok");
    assert.equal(g.write(0, 0x405000, 2).kind, "ok");
    assert.deepEqual([g.entryAt(0x9000), g.entryAt(0x805000)], [1n, 2n]);
    const roles = g.vm.pagesOf(gfn(0x30)).map(({ role }) => role.toString(16));
    assert.deepEqual(roles.sort(), ["23712", "23732", "23752", "23772"]);
    g.leaveL2();
    g.write(0, 0x31014, 0xa067, 4);
    g.enterL2({ ...entry, flush: true });
    g.write(0, 0x5000, 3);
    assert.equal(g.entryAt(0xa000), 3n);
  });

  it("F-035 a large page of L1's over a huge page of the host's is one leaf", () => {
    const g = nestedGuest({
      ...checked,
      backing: { kind: "anonymous", writable: true, thp: true },
    });
    g.entry(0x22008, 0x6000e7);
    g.enterL2();
    g.write(0, 0x205000, 1);
    assert.equal(g.entryAt(0x605000), 1n);
    const leaves = g.vm.leavesOf(gfn(0x605)).map((at) => g.vm.pageOf(at));
    assert.deepEqual(
      leaves.filter((page) => page.role & 0x20000).map((page) => page.level),
      [2],
    );
  });
});

describe("nested NPT: the host, the log, mmio", () => {
  it("F-008 what L2 writes is in the dirty log", () => {
    const g = nestedGuest(checked);
    g.enterL2();
    g.write(0, 0x5000, 1);
    g.setSlot(0, 0, 0x1000, GUEST_HVA, SLOT_FLAG.logDirty);
    g.vm.getDirtyLog(0);
    g.stepped("the log is taken");
    g.write(0, 0x5000, 2);
    const log = g.vm.getDirtyLog(0);
    assert.equal(log instanceof Uint32Array && log[0], 0x200);
  });

  it("F-043 a page that the host swaps out, or a slot that goes, is L2's as well", () => {
    const g = nestedGuest(checked);
    g.enterL2();
    g.write(0, 0x5000, 1);
    performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(9)));
    g.stepped("swapped out");
    assert.equal(g.vm.leavesOf(gfn(9)).length, 0);
    assert.deepEqual(g.read(0, 0x5000), { kind: "ok", value: 1n, emulated: false });
    g.setSlot(1, 0x2000, 0x10, GUEST_HVA);
    g.setSlot(1, 0x2000, 0, GUEST_HVA);
    assert.equal(g.read(0, 0x5000).kind, "ok");
    g.leaveL2();
    assert.equal(g.read(0, 0x9000).kind, "ok");
  });

  it("F-055 F-065 roots for L2 that become obsolete while L1 runs are let go", () => {
    const g = nestedGuest(checked);
    g.enterL2();
    g.write(0, 0x5000, 1);
    g.leaveL2();
    g.setSlot(1, 0x2000, 0x10, GUEST_HVA);
    g.setSlot(1, 0x2000, 0, GUEST_HVA);
    g.enter();
    assert.equal(g.vcpu.mmu.guestMmu?.root.kind, "none");
    assert.deepEqual([...g.vm.pinnedPages()], []);
  });

  it("F-085 a flush at the entry of L2 empties its TLB, whoever ran before", () => {
    const g = nestedGuest(checked);
    g.enterL2();
    g.read(0, 0x5000);
    g.enterL2();
    assert.equal(g.cpu.tlb.size, 1);
    g.enterL2({ flush: true });
    assert.equal(g.cpu.tlb.size, 0);
  });

  it("F-141 mmio behind L1's tables: found by the mark, never by the cache of gpas", () => {
    const g = nestedGuest(checked);
    g.entry(0x23030, 0xd0000067);
    g.enterL2();
    assert.deepEqual(g.read(0, 0x6000), { kind: "device", gpa: 0xd0000000 });
    g.log.length = 0;
    assert.deepEqual(g.read(0, 0x6008), { kind: "device", gpa: 0xd0000008 });
    assert.deepEqual(
      g.events(["check_mmio_spte", "handle_mmio_page_fault"]).map((line) => line.split(":")[0]),
      ["check_mmio_spte", "handle_mmio_page_fault"],
    );
    // L1's address of the same number is memory.
    g.leaveL2();
    assert.equal(g.read(0, 0x6000).kind, "ok");
  });

  it("F-108 a table of L1's that its own paging writes to is no longer shadowed", () => {
    const g = nestedGuest(checked);
    g.enterL2();
    g.write(0, 0x5000, 1);
    g.leaveL2();
    // L1 uses the same table for its own addresses: gva 0x5000 → gpa 0x9000, A bits to be set.
    g.mode("4-level", NCR3);
    assert.equal(g.read(3, 0x5000).kind, "ok");
    assert.equal(
      g.vm.pagesOf(gfn(0x20)).some((page) => page.hasGptes),
      false,
    );
  });

  it("F-063 the last pointer to a page of L2's takes it along when its parent is zapped", () => {
    const g = nestedGuest(checked);
    g.enterL2();
    g.write(0, 0x5000, 1);
    g.leaveL2();
    // Three stores to the second table: it is flooded.
    for (const value of [0, 0x23007, 0]) g.write(0, 0x21008, value);
    const left = [0x20, 0x21, 0x22, 0x23].filter((frame) =>
      g.vm.pagesOf(gfn(frame)).some((page) => page.hasGptes),
    );
    assert.deepEqual(left, [0x20]);
  });

  it("F-035 a snapshot of a running L2 goes on as it would have", () => {
    const g = pagingL2();
    g.enterL2({ ...LONG, cr3: 0x1000n });
    g.write(3, 0x7000, 3);
    const back = checkpoint(g);
    const rest = () => {
      g.log.length = 0;
      g.write(3, 0x7008, 4);
      const exit = exitOf(g.read(3, 0x8000));
      return [g.events(), exit, g.entryAt(0x9008)];
    };
    const first = rest();
    back();
    assert.deepEqual([g.vcpu.mmu.isNested, g.vcpu.nestedExit], [true, undefined]);
    assert.deepEqual(g.vm.check(g.vcpu), []);
    assert.deepEqual(rest(), first);
    g.leaveL2();
    assert.equal(g.read(0, 0x9008).kind, "ok");
  });
});
