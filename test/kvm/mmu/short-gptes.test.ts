import assert from "node:assert/strict";
import type { ShadowPage } from "../../../src/kvm";
import { CR0, CR4, gfn } from "../../../src/x86";
import { checked } from "../checked";
import { Guest, type GuestOptions } from "../guest";
import { NP, sp } from "../tables";

/**
 * A directory at 0x1000, one page table at 0x2000: its first half maps gva 0x400000 …, its second half
 * 0x600000 …. PT[4] and PT[0x204] map the table itself, PT[5] the directory.
 */
const guest = (options: GuestOptions = checked): Guest =>
  new Guest(options)
    .entry32(0x1004, 0x2067)
    .entry32(0x200c, 0x8067)
    .entry32(0x280c, 0x9067)
    .entry32(0x2010, 0x2067)
    .entry32(0x2014, 0x1067)
    .start("32-bit", 0x1000, { cr4: CR4.PSE });
const half = (g: Guest, quadrant: 0 | 1): ShadowPage =>
  g.vm.pagesOf(gfn(2)).find((page) => page.role === 0x3711 + 0x20 * quadrant)!;
const touched = (options?: GuestOptions): Guest => {
  const g = guest(options);
  g.read(3, 0x403000, 4);
  g.read(3, 0x603000, 4);
  g.log.length = 0;
  return g;
};

describe("4-byte gptes", () => {
  it("F-052 both halves of one table have their page", () => {
    const g = touched();
    assert.deepEqual([half(g, 0).serial, half(g, 1).serial], [4, 5]);
    assert.deepEqual([g.spte(sp(0, 2)), g.spte(sp(0, 3))], [0x200004827n, 0x200005827n]);
    assert.deepEqual([g.spte(sp(4, 3)), g.spte(sp(5, 3))], [0x100008e67n, 0x100009e67n]);
  });

  it("F-088 one write makes both pages of the table unsync, F-090 a CR3 load syncs both", () => {
    const g = touched();
    g.write(0, 0x40400c, 0xa067, 4);
    assert.deepEqual(
      [half(g, 0).unsync, half(g, 1).unsync, g.vm.stats.mmu_unsync],
      [true, true, 2],
    );
    assert.equal(g.vm.pagesOf(gfn(1)).at(-1)?.unsyncChildren, 2);
    g.write(0, 0x40480c, 0xb067, 4);
    g.movCr3(0x1000);
    assert.deepEqual(
      [half(g, 0).unsync, half(g, 1).unsync, g.vm.stats.mmu_unsync],
      [false, false, 0],
    );
    assert.deepEqual([g.spte(sp(4, 3)), g.spte(sp(5, 3))], [NP, NP]);
    g.read(3, 0x603000, 4);
    assert.equal(g.spte(sp(5, 3)), 0x10000be67n);
  });

  it("F-089 INVLPG syncs the entry of its own half", () => {
    const g = touched();
    g.write(0, 0x40400c, 0xa067, 4);
    g.write(0, 0x40480c, 0xb067, 4);
    g.invlpg(0x603000);
    assert.deepEqual([g.spte(sp(4, 3)), g.spte(sp(5, 3))], [0x100008e67n, NP]);
  });

  it("F-087 an emulated store of 4 bytes empties one spte, in one half", () => {
    const g = touched();
    g.emulatedStore(0x280c, 0xb067, 4);
    assert.deepEqual([g.spte(sp(4, 3)), g.spte(sp(5, 3))], [0x100008e67n, NP]);
    assert.equal(g.vm.pagesOf(gfn(2)).length, 2);
  });

  it("F-080 F-087 one of 8 bytes covers two entries: every page of the table goes", () => {
    const g = touched();
    g.emulatedStore(0x2808, 0xb067, 8);
    assert.deepEqual([g.vm.pagesOf(gfn(2)), g.vm.stats.mmu_flooded], [[], 2]);
  });

  it("F-087 F-092 a native store to the directory is emulated, and empties both sptes of the PDE", () => {
    const g = touched();
    assert.deepEqual(g.write(0, 0x405004, 0x2067, 4), {
      kind: "ok",
      value: 0x2067n,
      emulated: true,
    });
    assert.equal(g.entryAt(0x1000) >> 32n, 0x2067n);
    assert.deepEqual([g.spte(sp(0, 2)), g.spte(sp(0, 3))], [NP, NP]);
    g.read(3, 0x603000, 4);
    assert.equal(g.spte(sp(0, 3)), 0x200005827n);
  });

  it("F-080 three stores in a row take the directory for data: all four roots go, and come again", () => {
    const g = touched({});
    for (let i = 0; i < 3; i++) g.emulatedStore(0x1ff0, 0, 4);
    assert.equal(g.vm.stats.mmu_flooded, 4);
    g.enter();
    assert.deepEqual(g.vm.check(g.vcpu), []);
    assert.equal(g.vm.pagesOf(gfn(1)).length, 4);
    assert.equal(g.read(3, 0x603000, 4).kind, "ok");
  });

  it("F-111 prefetch stays inside its half", () => {
    const g = guest();
    for (const [at, entry] of [
      [0x2800, 0xa067],
      [0x2804, 0xb027],
      [0x2808, 0xc047],
      [0x27fc, 0xd067],
    ] as const) {
      g.entry32(at, entry);
      g.vm.memory.frameOffset(gfn(entry >> 12), false);
    }
    g.read(3, 0x603000, 4);
    // PT[0x202] has A clear: prefetch stops before it.
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => g.spte(sp(4, i))),
      [0x10000ae47n, 0x10000ba05n, NP, 0x100009e67n],
    );
    assert.equal(half(g, 0), undefined);
  });

  it("F-025 F-125 F-128 the kernel form has no NX bit to inherit but the one SMEP wants", () => {
    const g = guest().entry32(0x2810, 0xa065);
    g.movCr0(g.cpu.cr0 & ~CR0.WP).movCr4(g.cpu.cr4 | CR4.SMEP);
    assert.equal(g.write(0, 0x604000, 1, 4).kind, "ok");
    const [page] = g.vm.pagesOf(gfn(2));
    assert.equal(g.spte(page!.spt + 8 * 4), 0x800000010000ae63n);
    assert.equal(g.fetch(3, 0x604000).kind, "ok");
    assert.deepEqual(g.fetch(0, 0x604000), { kind: "fault", error: 0x11, cr2: 0x604000n });
  });

  it("F-028 EFER.NX means nothing to them, and roles do not tell it apart", () => {
    const g = touched();
    g.setEfer(0n);
    assert.deepEqual(g.fetch(0, 0x603000).kind, "ok");
    assert.equal(g.vm.pagesOf(gfn(2)).length, 2);
  });
});

describe("8-byte gptes of a PAE guest", () => {
  it("F-087 a store of 4 bytes to either half of a PDE empties its spte", () => {
    for (const at of [0x2000, 0x2004]) {
      const g = new Guest(checked).entry(0x1000, 0x2001).entry(0x2000, 0x3067);
      g.entry(0x3028, 0x9067).start("PAE", 0x1000);
      g.read(3, 0x5000);
      assert.notEqual(g.spte(sp(0, 0)), NP);
      g.emulatedStore(at, at === 0x2000 ? 0x3067 : 0, 4);
      assert.equal(g.spte(sp(0, 0)), NP);
      assert.equal(g.vm.stats.mmu_pde_zapped, 1);
    }
  });
});

describe("invariants of 4-byte gptes and PAE roots", () => {
  const setRole = (g: Guest, change: (role: number) => number): void => {
    const page = half(g, 1);
    page.role = change(page.role);
  };
  const CORRUPTIONS: readonly (readonly [string, (g: Guest) => void])[] = [
    ["INV-R-06", (g) => g.entry32(0x280c, 0xa067)],
    ["INV-U-07", (g) => g.entry32(0x280c, 0x9027)],
    ["INV-U-07", (g) => g.entry32(0x1004, 0x3067)],
    [
      "INV-U-07",
      (g) => {
        // The odd entry points at the first half of its table.
        g.vm.words[2 * (g.vm.pagesOf(gfn(1)).at(-1)!.base + 3)] = 0x4827;
      },
    ],
    ["INV-S-10", (g) => setRole(g, (role) => role & ~0x400)],
    ["INV-P-09", (g) => setRole(g, (role) => role | 0x40)],
    ["INV-P-09", (g) => setRole(g, (role) => role + 2)],
    [
      "INV-P-10",
      (g) => {
        g.vm.words[2 * g.vcpu.mmu.mmu.paeRoot!]! |= 6;
      },
    ],
    [
      "INV-P-07",
      (g) => {
        const { root } = g.vcpu.mmu;
        if (root.kind === "pae") Object.assign(root, { pages: [...root.pages].reverse() });
      },
    ],
    ["INV-P-07", (g) => void Object.assign(g.vcpu.mmu.mode, { gpteExt: 0 })],
  ];
  for (const [id, corrupt] of CORRUPTIONS)
    it(`${id} is noticed when broken`, () => {
      const g = touched({});
      assert.deepEqual(g.vm.check(g.vcpu), []);
      corrupt(g);
      const found = g.vm.check(g.vcpu);
      assert.ok(
        found.some((sentence) => sentence.startsWith(`${id}: `)),
        JSON.stringify(found),
      );
    });

  it("INV-U-07 the halves of a 4M page are told apart", () => {
    const g = new Guest({ backing: { kind: "anonymous", writable: true, thp: true } });
    g.entry32(0x1008, 0x4000e7).start("32-bit", 0x1000, { cr4: CR4.PSE });
    g.write(3, 0x800000, 1, 4);
    g.write(3, 0xa00000, 1, 4);
    assert.deepEqual(g.vm.check(g.vcpu), []);
    const [page] = g.vm.pagesOf(gfn(1)).slice(-1);
    page!.recordTranslation(4, gfn(0x600), 7);
    assert.ok(g.vm.check(g.vcpu).some((sentence) => sentence.startsWith("INV-U-07: ")));
  });
});
