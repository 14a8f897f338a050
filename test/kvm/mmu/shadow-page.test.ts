import assert from "node:assert/strict";
import { ENTRIES, isLeaf, sptePfn } from "../../../src/kvm";
import { CR4, gfn, hpa } from "../../../src/x86";
import { checked } from "../checked";
import { firstGuest, sp, touchedGuest } from "../tables";

describe("shadow pages", () => {
  it("F-051 F-067 an indirect page has the gfn of the guest table, in walk order", () => {
    const g = touchedGuest(checked);
    const pages = [...g.vm.activePages()].reverse();
    assert.deepEqual(
      pages.map((page) => [page.gfn, page.level, page.direct]),
      [
        [1, 4, false],
        [2, 3, false],
        [3, 2, false],
        [4, 1, false],
      ],
    );
  });

  it("F-068 from any spte one finds its page", () => {
    const g = touchedGuest(checked);
    const page = g.vm.findPage(hpa(sp(3, 5)));
    assert.equal(page, g.vm.pagesOf(gfn(4))[0]);
    assert.equal(g.vm.core.state.pageOf(page!.base + 511), page);
    assert.equal(g.vm.core.state.hpaOf(page!.base + 5), sp(3, 5));
    assert.equal(g.vm.findPage(hpa(sp(9))), undefined);
  });

  it("F-014 F-047 a gpte names a gfn, the leaf that shadows it a pfn", () => {
    const g = touchedGuest(checked);
    const leaf = g.spte(sp(3, 5));
    assert.equal(g.entryAt(0x4028) >> 12n, 9n);
    assert.equal(sptePfn(Number(leaf & 0xffffffffn), Number(leaf >> 32n)), 0x100009);
    assert.ok(isLeaf(Number(leaf & 0xffffffffn), 1));
  });

  it("F-070 a page with gptes records what each leaf was built from; a direct one computes it", () => {
    const g = touchedGuest(checked).entry(0x3008, 0x2000e7);
    g.write(3, 0x203000, 1);
    const table = g.vm.pagesOf(gfn(4))[0]!;
    const direct = g.vm.pagesOf(gfn(0x200))[0]!;
    assert.deepEqual([table.gfnAt(5), table.accessAt(5)], [9, 7]);
    assert.deepEqual([direct.gfnAt(3), direct.accessAt(3)], [0x203, 7]);
    assert.equal(direct.shadowedTranslation, undefined);
    assert.equal(g.vm.pagesOf(gfn(1))[0]!.shadowedTranslation, undefined);
  });

  it("F-072 root_count counts the vCPUs and cached roots that hold a page", () => {
    const g = touchedGuest(checked);
    const other = g.addVcpu();
    other.vcpu.enter();
    const root = g.vm.pagesOf(gfn(1))[0]!;
    assert.equal(root.rootCount, 2);
    other.movCr3(0xa000n, false);
    assert.equal(root.rootCount, 2, "it is cached");
    for (const pgd of [0xb000n, 0xc000n, 0xd000n]) other.movCr3(pgd, false);
    assert.equal(root.rootCount, 1);
  });

  it("F-026 between exit and entry nothing of a change is visible to the hardware", () => {
    const g = touchedGuest(checked);
    const before = g.vcpu.hardwareRoot;
    const seen: unknown[] = [];
    g.trace.on("root_load", () => seen.push(g.vcpu.hardwareRoot));
    g.movCr3(0xa000);
    assert.deepEqual(seen, [before]);
    assert.notEqual(g.vcpu.hardwareRoot, before);
  });

  it("F-138 each guest table inside a frame bars its large page once, until it is zapped", () => {
    const g = touchedGuest(checked);
    const { arch } = g.vm.slots[0]!;
    assert.deepEqual([arch.lpage[0][0], arch.lpage[1][0]], [4, 5]);
    g.setSlot(5, 0x5000, 1, 0x7f0000000000);
    g.setSlot(5, 0, 0, 0x7f0000000000);
    assert.deepEqual(
      [arch.lpage[0][0], arch.lpage[1][0]],
      [0, 1],
      "only the ragged end of the slot",
    );
  });

  it("F-029 the guest's SMEP and SMAP hold for its kernel, WP or not", () => {
    const g = firstGuest(checked);
    g.cpu.cr4 |= CR4.SMEP | CR4.SMAP;
    g.vcpu.restored();
    g.enter();
    assert.equal(g.fetch(3, 0x5000).kind, "ok");
    assert.deepEqual(g.fetch(0, 0x5000), { kind: "fault", error: 0x11, cr2: 0x5000n });
    assert.deepEqual(g.read(0, 0x5000), { kind: "fault", error: 1, cr2: 0x5000n });
    g.cpu.ac = true;
    assert.equal(g.write(0, 0x5000, 2).kind, "ok");
  });

  it("counts the unsync bits it has, and finds them in order", () => {
    const page = touchedGuest().vm.pagesOf(gfn(3))[0]!;
    for (const index of [0, 31, 32, 300, ENTRIES - 1]) page.addUnsyncBit(index);
    const found: number[] = [];
    for (let i = page.nextUnsyncBit(0); i >= 0; i = page.nextUnsyncBit(i + 1)) found.push(i);
    assert.deepEqual(found, [0, 31, 32, 300, 511]);
    page.removeUnsyncBit(32);
    assert.equal(page.nextUnsyncBit(32), 300);
    assert.equal(page.unsyncChildren, 4);
  });
});
