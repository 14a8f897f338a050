import assert from "node:assert/strict";
import { CR0, CR4, EFER, gfn, pdpteRegisters } from "../../../src/x86";
import { checked } from "../checked";
import type { GuestOptions } from "../guest";
import type { Outcome } from "../scripted-vcpu";
import { NestedGuest } from "./nested-guest";

/** EPTPs of the tables at 0x20000: four levels, write-back, with A/D flags or without. */
const EPTP = 0x2005en;
const WITHOUT_AD = 0x2001en;
/** Four levels at 0x24000. */
const OTHER = 0x2405en;
/** R, W, X and write-back of a leaf. */
const PAGE = 0x37;
const LONG = { cr0: CR0.PE | CR0.PG | CR0.WP, cr4: CR4.PAE, efer: EFER.LMA | EFER.LME | EFER.NX };

/** L1 with EPT for its L2: ngpa 0x5000 → gpa 0x9000. */
function eptGuest(options: GuestOptions = {}): NestedGuest {
  const g = new NestedGuest({ ...checked, paging: "ept", ...options });
  g.write(0, 0x20000, 0x21007);
  g.write(0, 0x21000, 0x22007);
  g.write(0, 0x22000, 0x23007);
  g.write(0, 0x23028, 0x9000 + PAGE);
  g.log.length = 0;
  return g;
}

/** Exit reason, qualification and ngpa that L1 is told. */
const told = (outcome: Outcome): readonly (number | string)[] => {
  if (outcome.kind !== "nested-exit") return [outcome.kind];
  const { exit } = outcome;
  if (exit.kind !== "ept") return [exit.kind];
  return [exit.exitReason, exit.exitQualification, exit.guestPhysicalAddress];
};
const shadowOf = (g: NestedGuest, frame: number) =>
  g.vm.pagesOf(gfn(frame)).find((page) => page.hasGptes);
/** The leaf for ngpa 0x5000. */
const leaf = (g: NestedGuest): bigint => g.spte(shadowOf(g, 0x23)!.spt + 8 * 5);

for (const tdpMmu of [true, false])
  describe(`nested EPT, ${tdpMmu ? "TDP MMU" : "shadow pages"} for L1`, () => {
    it("F-035 F-062 F-063 L1's EPT is shadowed, A and D set in it", () => {
      const g = eptGuest({ tdpMmu });
      g.enterL2({ eptp: EPTP });
      assert.equal(g.write(0, 0x5000, 1).kind, "ok");
      assert.equal(g.entryAt(0x9000), 1n);
      assert.deepEqual(
        [0x20, 0x21, 0x22, 0x23].map((frame) => shadowOf(g, frame)?.role),
        [0x20704, 0x20703, 0x20702, 0x20701],
      );
      assert.deepEqual(
        [0x20000, 0x23028].map((at) => g.entryAt(at)),
        [0x21107n, 0x9337n],
      );
      // PML is for L1: of L2 W tells.
      assert.equal(leaf(g), 0x8620000100009b77n);
      assert.deepEqual(
        [0x20, 0x21, 0x22, 0x23].map((frame) => g.vm.slots[0]!.arch.writeTrack[frame]),
        [1, 1, 1, 0],
      );
    });

    it("F-062 an EPTP without A/D flags: none are set, and the sptes do without", () => {
      const g = eptGuest({ tdpMmu });
      g.enterL2({ eptp: WITHOUT_AD });
      g.read(0, 0x5000);
      assert.equal(shadowOf(g, 0x23)?.role, 0x30701);
      assert.deepEqual(
        [0x20000, 0x23028].map((at) => g.entryAt(at)),
        [0x21007n, 0x9037n],
      );
      // Nothing waits for a D bit: it is writable at once.
      assert.equal(leaf(g), 0x8610000100009b77n);
      g.write(0, 0x5000, 1);
      assert.equal(g.entryAt(0x9000), 1n);
    });

    it("F-035 violations are L1's, with what its entries allow", () => {
      const g = eptGuest({ tdpMmu });
      g.entry(0x23030, 0xa035).entry(0x23038, 0xb034).entry(0x23040, 0xc033);
      g.enterL2({ eptp: EPTP });
      const read = 0x181;
      assert.deepEqual(told(g.read(0, 0x4000)), [48, read, 0x4000]);
      g.leaveL2().enterL2({ eptp: EPTP });
      assert.deepEqual(told(g.write(0, 0x6000, 1)), [48, 0x182 | 0x28, 0x6000]);
      g.leaveL2().enterL2({ eptp: EPTP });
      assert.deepEqual(told(g.fetch(0, 0x8000)), [48, 0x184 | 0x18, 0x8000]);
      g.leaveL2().enterL2({ eptp: EPTP });
      // Execute-only.
      assert.equal(g.fetch(0, 0x7000).kind, "ok");
      assert.deepEqual(told(g.read(0, 0x7000)), [48, read | 0x20, 0x7000]);
    });

    it("F-035 a misconfiguration of L1's is told as one", () => {
      const g = eptGuest({ tdpMmu });
      // Writable and not readable; a memory type that does not exist.
      g.entry(0x23030, 0xa032).entry(0x23038, 0xb017);
      g.enterL2({ eptp: EPTP });
      assert.deepEqual(told(g.read(0, 0x6000)), [49, 0, 0x6000]);
      g.leaveL2().enterL2({ eptp: EPTP });
      assert.deepEqual(told(g.read(0, 0x7000)), [49, 0, 0x7000]);
    });

    it("F-035 L1 changes a leaf: unsync, and INVEPT of its table brings it in line", () => {
      const g = eptGuest({ tdpMmu });
      g.enterL2({ eptp: EPTP });
      g.write(0, 0x5000, 1);
      g.leaveL2();
      g.write(0, 0x23028, 0xa337);
      assert.equal(g.vm.stats.mmu_unsync, 1);
      g.vcpu.invept(0x90000n);
      g.stepped("INVEPT of another");
      g.enterL2({ eptp: EPTP });
      assert.equal(leaf(g) & 0xffffff000n, 0x100009000n);
      g.leaveL2();
      g.vcpu.invept(WITHOUT_AD);
      g.stepped("INVEPT");
      g.enterL2({ eptp: EPTP });
      g.write(0, 0x5000, 2);
      assert.deepEqual([g.entryAt(0x9000), g.entryAt(0xa000)], [1n, 2n]);
      g.leaveL2();
      // An entry that grants nothing, or one that is no entry.
      for (const entry of [0xa330, 0xa332]) {
        g.write(0, 0x23028, entry);
        g.vcpu.invept();
        g.stepped("INVEPT of all");
        g.enterL2({ eptp: EPTP });
        assert.equal(leaf(g), 0x8000000000000000n);
        g.leaveL2();
        g.write(0, 0x23028, 0xa337);
        g.vcpu.invept();
        g.enterL2({ eptp: EPTP });
        assert.equal(g.read(0, 0x5000).kind, "ok");
        g.leaveL2();
      }
    });

    it("F-120 INVEPT lets go the root of its table: the one before is found again, its writes counted anew", () => {
      const g = eptGuest({ tdpMmu }).entry(0x24000, 0x21007);
      g.enterL2({ eptp: EPTP });
      g.read(0, 0x5000);
      const first = shadowOf(g, 0x20)!;
      g.leaveL2().enterL2({ eptp: OTHER });
      g.read(0, 0x5000);
      g.leaveL2();
      g.vcpu.invept(OTHER);
      g.stepped("INVEPT");
      assert.equal(g.vcpu.mmu.guestMmu?.root.kind, "none");
      first.writeFloodingCount = 2;
      g.enterL2({ eptp: EPTP });
      assert.deepEqual(g.vcpu.mmu.root, { kind: "page", page: first, pgd: EPTP });
      assert.equal(first.writeFloodingCount, 0);
    });

    it("F-035 an entry that leaves no right at all is dropped by the sync", () => {
      const g = eptGuest({ tdpMmu });
      g.entry(0x22000, 0x23004).entry(0x23028, 0x9034);
      g.enterL2({ eptp: EPTP });
      assert.equal(g.fetch(0, 0x5000).kind, "ok");
      g.leaveL2();
      // Readable and writable, below a table that is neither.
      g.write(0, 0x23028, 0x9333);
      g.vcpu.invept();
      g.enterL2({ eptp: EPTP });
      g.read(0, 0x4000);
      assert.equal(leaf(g), 0x8000000000000000n);
    });

    it("F-035 a violation brings the ngpa in line in every context of the same table", () => {
      const g = eptGuest({ tdpMmu });
      g.entry(0x23028, 0x9033);
      g.enterL2({ eptp: EPTP });
      g.write(0, 0x5000, 1);
      const other = shadowOf(g, 0x23)!;
      g.leaveL2().enterL2({ eptp: WITHOUT_AD });
      g.read(0, 0x5000);
      g.leaveL2();
      g.write(0, 0x23028, 0xa333);
      g.enterL2({ eptp: WITHOUT_AD });
      assert.deepEqual(told(g.fetch(0, 0x5000)), [48, 0x184 | 0x18, 0x5000]);
      assert.equal(g.spte(other.spt + 8 * 5), 0x8000000000000000n);
    });

    it("F-035 L2 with tables of its own, in long mode and with the PDPTEs of its VMCS", () => {
      const g = eptGuest({ tdpMmu });
      for (const n of [1, 2, 3, 4]) g.entry(0x23000 + 8 * n, 0x100000 + PAGE + 0x1000 * n);
      g.entry(0x101000, 0x2007).entry(0x102000, 0x3007).entry(0x103000, 0x4007);
      g.entry(0x104038, 0x5007).entry(0x104040, 0x8007);
      g.enterL2({ ...LONG, cr3: 0x1000n, eptp: EPTP });
      assert.equal(g.write(3, 0x7000, 3).kind, "ok");
      assert.equal(g.first.emulated(0x7008n, 6, 4n).kind, "ok");
      assert.deepEqual([g.entryAt(0x9000), g.entryAt(0x9008)], [3n, 4n]);
      assert.deepEqual(told(g.read(3, 0x8000)), [48, 0x181, 0x8000]);
      g.leaveL2().enterL2({ ...LONG, cr3: 0x1000n, eptp: EPTP });
      assert.deepEqual(told(g.first.emulated(0x8000n, 4, 0n)), [48, 0x181, 0x8000]);
      g.leaveL2();
      const pdptes = pdpteRegisters();
      pdptes[0] = 0x3001;
      g.enterL2({ cr0: LONG.cr0, cr4: CR4.PAE, cr3: 0n, eptp: EPTP, pdptes });
      assert.equal(g.read(3, 0x7000).kind, "ok");
      assert.equal(g.first.emulated(0x7010n, 6, 5n).kind, "ok");
      assert.equal(g.entryAt(0x9010), 5n);
    });

    it("F-062 pages of L2 without A bits are aged by taking their rights away", () => {
      const g = eptGuest({ tdpMmu });
      g.enterL2({ eptp: WITHOUT_AD });
      g.write(0, 0x5000, 1);
      const start = g.vm.slots[0]!.hvaOf(gfn(9));
      const range = { start, end: (start + 4096) as typeof start };
      assert.equal(g.process.notifiers.clearYoung(range), true);
      g.stepped("aged");
      assert.equal(leaf(g) & 7n, 0n);
      g.cpu.flushTlb();
      assert.deepEqual(g.read(0, 0x5000), { kind: "ok", value: 1n, emulated: false });
    });
  });

describe("nested EPT: sizes", () => {
  it("F-064 five levels of L1's on a host with four, and large pages", () => {
    const g = eptGuest({ backing: { kind: "anonymous", writable: true, thp: true } });
    g.entry(0x1f000, 0x20007).entry(0x22008, 0x6000b7);
    g.enterL2({ eptp: 0x1f066n });
    g.write(0, 0x205000, 1);
    assert.equal(g.entryAt(0x605000), 1n);
    const { root } = g.vcpu.mmu;
    assert.ok(root.kind === "page");
    assert.deepEqual([root.page.role, root.page.gfn], [0x20705, 0x1f]);
  });
});
