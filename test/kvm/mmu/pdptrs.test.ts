import assert from "node:assert/strict";
import { GUEST_HVA, performHostAction } from "../../../src/host";
import { CR0, CR4, EFER, gfn, hva } from "../../../src/x86";
import { checked } from "../checked";
import { Guest } from "../guest";

/** One mapped GiB; the second PDPTE is written to memory later and counts once it is loaded. */
const paeGuest = (): Guest =>
  new Guest(checked)
    .entry(0x1020, 0x2001)
    .entry(0x2000, 0x3067)
    .entry(0x3028, 0x9067)
    .entry(0x4000, 0x3067)
    .start("PAE", 0x1020);
const loaded = (g: Guest): boolean => g.read(0, 0x40005000).kind === "ok";

describe("PDPTRs", () => {
  const reloads: readonly (readonly [string, (g: Guest) => unknown])[] = [
    ["MOV to CR3", (g) => g.movCr3(0x1020)],
    ["CR0.CD", (g) => g.movCr0(g.cpu.cr0 | CR0.CD)],
    ["CR0.NW", (g) => g.movCr0(g.cpu.cr0 | CR0.CD | CR0.NW)],
    ["CR4.PGE", (g) => g.movCr4(g.cpu.cr4 | CR4.PGE)],
    ["CR4.PSE", (g) => g.movCr4(g.cpu.cr4 | CR4.PSE)],
    ["CR4.SMEP", (g) => g.movCr4(g.cpu.cr4 | CR4.SMEP)],
    ["paging off and on", (g) => g.mode("none").mode("PAE")],
  ];
  for (const [name, step] of reloads)
    it(`F-017 are loaded again by ${name}`, () => {
      const g = paeGuest().entry(0x1028, 0x4001);
      step(g);
      assert.equal(loaded(g), true);
      // What the processor itself walks by, where the second dimension is the hypervisor's.
      assert.deepEqual([...g.cpu.pdptes], [0x2001, 0, 0x4001, 0, 0, 0, 0, 0]);
    });

  const others: readonly (readonly [string, (g: Guest) => unknown])[] = [
    ["CR0.WP", (g) => g.movCr0(g.cpu.cr0 & ~CR0.WP)],
    ["CR4.SMAP", (g) => g.movCr4(g.cpu.cr4 | CR4.SMAP)],
    ["EFER.NX", (g) => g.setEfer(g.cpu.efer ^ EFER.NX)],
    ["INVLPG", (g) => g.invlpg(0x40005000)],
  ];
  for (const [name, step] of others)
    it(`F-017 stay as they are over ${name}`, () => {
      const g = paeGuest().entry(0x1028, 0x4001);
      g.cpu.ac = true;
      step(g);
      assert.equal(loaded(g), false);
      assert.equal(g.read(0, 0x5000).kind, "ok");
    });

  it("F-017 a bad one ends every such write in #GP(0), and nothing has changed", () => {
    const g = paeGuest().entry(0x1028, 0x4003);
    const before = structuredClone(g.vm.save());
    const { cr0, cr4 } = g.cpu;
    for (const write of [
      () => g.first.movCr0(cr0 | CR0.CD),
      () => g.first.movCr4(cr4 | CR4.PGE),
      () => g.first.movCr4(cr4 | CR4.SMEP),
      () => g.first.movCr3(0x1020n, false),
    ])
      assert.deepEqual(write(), { vector: 13, error: 0 });
    assert.deepEqual([g.cpu.cr0, g.cpu.cr4], [cr0, cr4]);
    const { contexts, ...rest } = g.vm.save();
    const { contexts: old, ...oldRest } = before;
    assert.deepEqual(rest, oldRest);
    assert.deepEqual(contexts[0]?.pdptrs, old[0]?.pdptrs);
    assert.equal(g.read(0, 0x5000).kind, "ok");
  });

  it("F-016 F-017 F-118 CR4.PAE goes on and off while the guest pages", () => {
    const g = new Guest(checked).entry(0x1000, 0x2001).entry(0x2010, 0x3067).entry(0x3028, 0x9067);
    // The low half of PDPTE 0 is PDE 0; PDE 1 is its high half, so another directory entry is used.
    g.entry32(0x1008, 0x4067).entry32(0x4014, 0xa067).start("32-bit", 0x1000);
    g.write(0, 0x805000, 1, 4);
    assert.equal(g.entryAt(0xa000), 1n);
    g.emulatedStore(0x1008, 0x4066, 4);
    g.movCr4(CR4.PAE);
    g.write(0, 0x405000, 2, 4);
    assert.equal(g.entryAt(0x9000), 2n);
    g.emulatedStore(0x1008, 0x4067, 4);
    assert.deepEqual(g.first.movCr4(CR4.PAE | CR4.PGE), { vector: 13, error: 0 });
    g.movCr4(0n);
    assert.deepEqual(g.read(0, 0x805000, 4), { kind: "ok", value: 1n, emulated: false });
    assert.deepEqual(g.first.movCr4(CR4.PAE), { vector: 13, error: 0 });
    assert.deepEqual(g.read(0, 0x805000, 4), { kind: "ok", value: 1n, emulated: false });
  });

  it("F-017 paging does not come on with a bad one", () => {
    const g = paeGuest().mode("none");
    g.entry(0x1028, 0x4003);
    assert.deepEqual(g.first.setMode("PAE"), { vector: 13, error: 0 });
    assert.equal(g.cpu.cr0 & CR0.PG, 0n);
    assert.equal(g.vcpu.mmu.direct, true);
    assert.equal(g.read(0, 0x9000).kind, "ok");
  });

  it("F-187 are read from a table that the host has swapped out", () => {
    const g = paeGuest().entry(0x1028, 0x4001);
    performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(1)));
    g.movCr3(0x1020);
    assert.equal(loaded(g), true);
  });

  it("F-120 roots behind them are not kept for a quick return", () => {
    const g = paeGuest().entry(0x1040, 0x2001);
    g.movCr3(0x1040);
    assert.deepEqual(g.vcpu.prevRoots, [undefined, undefined, undefined]);
    assert.equal(g.vm.pagesOf(gfn(2))[0]?.rootCount, 1);
  });

  it("F-017 two that name one directory share its page", () => {
    const g = paeGuest().entry(0x1030, 0x2001).movCr3(0x1020);
    assert.equal(g.vm.pagesOf(gfn(2)).length, 1);
    assert.equal(g.vm.pagesOf(gfn(2))[0]?.rootCount, 2);
    g.write(0, 0x80005000, 4);
    assert.deepEqual(g.read(0, 0x5000), { kind: "ok", value: 4n, emulated: false });
  });

  it("F-141 a directory that comes to lie in a slot needs no load", () => {
    const g = paeGuest().entry(0x1028, 0x2000001).movCr3(0x1020);
    assert.deepEqual(g.read(0, 0x40005000), { kind: "fault", error: 0, cr2: 0x40005000n });
    g.process.mmap(hva(0x7e0000000000), 0x10000, { kind: "anonymous", writable: true });
    assert.equal(g.setSlot(1, 0x2000, 0x10, 0x7e0000000000), "create");
    g.entry(0x2000000, 0x3067);
    assert.equal(loaded(g), true);
  });

  it("F-017 a 32-bit CR3 outside all slots has the dummy root, until it lies in one", () => {
    const g = new Guest(checked).start("32-bit", 0x2000000);
    assert.equal(g.vcpu.mmu.root.kind, "dummy");
    assert.deepEqual(g.read(0, 0x5000, 4), { kind: "fault", error: 0, cr2: 0x5000n });
    g.process.mmap(hva(0x7e0000000000), 0x10000, { kind: "anonymous", writable: true });
    assert.equal(g.setSlot(1, 0x2000, 0x10, 0x7e0000000000), "create");
    g.entry32(0x2000000, 0x3067).entry32(0x3014, 0x9067);
    assert.equal(g.read(0, 0x5000, 4).kind, "ok");
  });

  it("F-065 a deleted slot takes the roots behind them along", () => {
    const g = paeGuest();
    g.read(0, 0x5000);
    assert.equal(g.setSlot(0, 0, 0, GUEST_HVA), "delete");
    g.enter();
    assert.equal(g.vm.usedPages, 0);
    assert.equal(g.read(0, 0x5000).kind, "fault");
  });
});
