import assert from "node:assert/strict";
import { CR0, CR4, EFER, gfn } from "../../../src/x86";
import { checked } from "../checked";
import { Guest, type GuestOptions } from "../guest";
import { touchedGuest } from "../tables";
import { nestedGuest } from "./nested-guest";

/** From L1 to L2 by its shadow: VMRUN without nested paging, only CR3 is another. */
function enterWith(g: Guest, cr3: bigint, flush = false): void {
  g.cpu.cr3 = cr3;
  assert.equal(g.vcpu.enterGuestMode({ flush }), true);
  g.stepped("entry of L2");
}
function leaveWith(g: Guest, cr3: bigint): void {
  g.cpu.cr3 = cr3;
  g.vcpu.leaveGuestMode();
  g.stepped("exit to L1");
}

const shadowRoles = (g: Guest, frame: number): string[] =>
  g.vm
    .pagesOf(gfn(frame))
    .map((page) => page.role.toString(16))
    .sort();

describe("a nested guest without a second dimension", () => {
  it("F-034 F-063 under shadow paging: its sptes are ngva → hpa, in pages of another role", () => {
    const g = touchedGuest(checked);
    const before = g.vcpu.mmu.root;
    enterWith(g, 0x1000n);
    const got = g.events().filter((line) => line.startsWith("kvm_mmu_get_page"));
    assert.deepEqual(got, [
      "kvm_mmu_get_page: sp gen 0 gfn 1 l4 8-byte q0 wux nxe ad root 0 sync new",
    ]);
    assert.equal(g.write(3, 0x5000, 2).kind, "ok");
    assert.equal(g.entryAt(0x9000), 2n);
    // Each table has two shadows now: L1's and L2's.
    assert.deepEqual(shadowRoles(g, 1), ["23704", "3704"]);
    assert.deepEqual(shadowRoles(g, 4), ["23701", "3701"]);
    assert.equal(g.vm.leavesOf(gfn(9)).length, 2);
    // L2's own faults are its own.
    assert.deepEqual(g.read(3, 0x7000), { kind: "fault", error: 4, cr2: 0x7000n });
    leaveWith(g, 0x1000n);
    assert.equal(g.vcpu.mmu.root, before);
    g.log.length = 0;
    enterWith(g, 0x1000n);
    assert.deepEqual(g.events(), [], "both roots were kept");
  });

  it("F-034 a table that L2 changes is unsync in both shadows, and synced where a flush is asked for", () => {
    const g = touchedGuest(checked);
    g.entry(0x4030, 0x4067);
    enterWith(g, 0x1000n);
    g.read(3, 0x5000);
    g.write(0, 0x6028, 0xb067);
    assert.equal(g.vm.stats.mmu_unsync, 2);
    enterWith(g, 0x1000n, true);
    assert.equal(g.write(3, 0x5000, 5).kind, "ok");
    assert.equal(g.entryAt(0xb000), 5n);
    leaveWith(g, 0x1000n);
    g.movCr3(0x1000);
    g.read(3, 0x5000);
    assert.equal(g.vm.stats.mmu_unsync, 0);
  });

  it("F-120 an entry to the L2 that ran last keeps its root, and knows no page as mmio", () => {
    const g = touchedGuest(checked).entry(0x4030, 0xd0000067);
    enterWith(g, 0x1000n);
    g.read(3, 0x6000);
    const { root, mmioCache } = g.vcpu.mmu;
    assert.notEqual(mmioCache, undefined);
    enterWith(g, 0x1000n);
    assert.deepEqual([g.vcpu.mmu.root, g.vcpu.mmu.mmioCache], [root, undefined]);
  });

  for (const paging of ["ept", "npt"] as const)
    for (const tdpMmu of [true, false])
      it(`F-063 under ${paging}${tdpMmu ? "" : " of shadow pages"}: a tree of its own, made once`, () => {
        const g = new Guest({ ...checked, paging, tdpMmu }).entry(0x1000, 0x2007);
        g.entry(0x2000, 0x3007).entry(0x3000, 0x4007).entry(0x4028, 0x9007).enter();
        g.write(3, 0x5000, 1);
        const own = g.vcpu.mmu.root;
        enterWith(g, 0x1000n);
        const { root } = g.vcpu.mmu;
        assert.ok(root.kind === "page" && own.kind === "page");
        assert.deepEqual([own.page.role, root.page.role], [0x3784, 0x23784]);
        assert.equal(g.write(3, 0x5000, 2).kind, "ok");
        assert.equal(g.entryAt(0x9000), 2n);
        leaveWith(g, 0x1000n);
        assert.equal(g.vcpu.mmu.root, own);
        enterWith(g, 0x1000n);
        assert.equal(g.vcpu.mmu.root, root);
      });

  it("F-063 what L2 writes is watched by W where L1's writes are logged by the processor", () => {
    const g = new Guest({ ...checked, paging: "ept" }).entry(0x1000, 0x2007);
    g.entry(0x2000, 0x3007).entry(0x3000, 0x4007).entry(0x4028, 0x9067).enter();
    g.setSlot(0, 0, 0x1000, 0x7f0000000000, 1);
    enterWith(g, 0x1000n);
    g.write(3, 0x5000, 2);
    g.vm.getDirtyLog(0);
    g.stepped("the log is taken");
    const leaf = g.vm.leavesOf(gfn(9))[0]!;
    assert.equal(g.vm.words[2 * leaf]! & 2, 0);
    assert.equal((g.vm.words[2 * leaf + 1]! >>> 20) & 3, 2);
    g.write(3, 0x5000, 3);
    const log = g.vm.getDirtyLog(0);
    assert.ok(log instanceof Uint32Array && (log[0]! & 0x200) !== 0);
  });

  it("F-034 an entry whose PDPTEs have a reserved bit set fails and changes nothing", () => {
    const g = touchedGuest(checked).entry(0xc000, 0x2067);
    const { cr0, cr3, cr4, efer } = g.cpu;
    const { root } = g.vcpu.mmu;
    Object.assign(g.cpu, { cr0: CR0.PE | CR0.PG, cr3: 0xc000n, cr4: CR4.PAE, efer: EFER.NX });
    assert.equal(g.vcpu.enterGuestMode({}), false);
    Object.assign(g.cpu, { cr0, cr3, cr4, efer });
    assert.deepEqual([g.vcpu.mmu.guestMode, g.vcpu.mmu.root], [undefined, root]);
    assert.deepEqual(g.vm.check(g.vcpu), []);
  });
});

describe("invariants of nested translation", () => {
  const broken = (
    spoil: (g: ReturnType<typeof nestedGuest>) => void,
    options: GuestOptions = {},
  ) => {
    const g = nestedGuest(options);
    g.enterL2();
    g.write(0, 0x5000, 1);
    assert.deepEqual(g.vm.check(g.vcpu), []);
    spoil(g);
    return g.vm.check(g.vcpu).map((text) => text.split(":")[0]!);
  };
  const pageOf = (g: Guest, frame: number) =>
    g.vm.pagesOf(gfn(frame)).find((page) => page.hasGptes)!;

  it("INV-X-01 finds a page of L1 below one of L2, and a root of L1 in guest_mmu", () => {
    const below = broken((g) => {
      pageOf(g, 0x21).role &= ~0x20000;
    });
    assert.ok(below.includes("INV-X-01"));
    const root = broken((g) => {
      const { rootMmu, guestMmu } = g.vcpu.mmu;
      guestMmu!.prevRoots[1] = rootMmu.root;
    });
    assert.ok(root.includes("INV-X-01"));
  });

  it("INV-X-02 finds a leaf that L1's tables do not allow, or allow elsewhere", () => {
    for (const gpte of [0x9065, 0xa067, 0]) {
      const found = broken((g) => {
        g.entry(0x23028, gpte);
      });
      assert.ok(found.includes("INV-X-02"), gpte.toString(16));
    }
  });

  it("INV-X-03 finds a vCPU that runs L2 by the MMU of L1", () => {
    const wrong = broken((g) => {
      g.vcpu.mmu.mmu = g.vcpu.mmu.rootMmu;
    });
    assert.ok(wrong.includes("INV-X-03"));
    const walk = broken((g) => {
      g.vcpu.mmu.nestedMode = undefined;
    });
    assert.ok(walk.includes("INV-X-03"));
  });
});
