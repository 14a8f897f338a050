import assert from "node:assert/strict";
import type { ShadowPage } from "../../../src/kvm";
import { TdpGuest } from "./tdp-guest";

const HVA = 0x7f0000000000;
const rootOf = (g: TdpGuest): ShadowPage => {
  const { root } = g.vcpu.mmu;
  assert.equal(root.kind, "page");
  return (root as { page: ShadowPage }).page;
};
const trees = (g: TdpGuest) => g.vm.core.state.tdpMmu!;

describe("roots of the TDP MMU", () => {
  it("F-073 F-065 vCPUs share one root, each with a reference besides the MMU's own", () => {
    const g = new TdpGuest();
    const root = rootOf(g);
    assert.equal(root.rootCount, 2);
    const other = g.more();
    assert.deepEqual(other.vcpu.mmu.root, { kind: "page", page: root, pgd: 0n });
    assert.equal(root.rootCount, 3);
    g.touch(0x9000, "write");
    assert.equal(g.touch(0x9000, "read", other), "ok");
    assert.equal(other.vcpu.mmu.stats.pf_taken, 0);
    assert.deepEqual([g.vm.usedPages, [...g.vm.core.state.active].length], [0, 0]);
  });

  it("F-055 F-073 an invalid root is emptied at once, and freed when the last vCPU lets go", () => {
    const g = new TdpGuest();
    const other = g.more();
    const root = rootOf(g);
    g.setSlot(1, 0x8000, 0x10, HVA);
    g.touch(0x9000, "write");
    g.log.length = 0;
    g.setSlot(1, 0x8000, 0, HVA);
    assert.deepEqual(g.events(["kvm_mmu_zap_all_fast", "kvm_mmu_prepare_zap_page"]), [
      "kvm_mmu_zap_all_fast: kvm-mmu-valid-gen 0 used_pages 0",
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 0 l1 8-byte q0 direct wux nxe ad root 0 sync",
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 0 l2 8-byte q0 direct wux nxe ad root 0 sync",
      "kvm_mmu_prepare_zap_page: sp gen 0 gfn 0 l3 8-byte q0 direct wux nxe ad root 0 sync",
    ]);
    assert.ok(root.invalid);
    assert.deepEqual([root.rootCount, trees(g).linkedPages, g.vm.stats.pages_4k], [2, 0, 0]);
    g.verify("the slot is gone");
    g.vcpu.enter();
    assert.equal(root.rootCount, 1);
    assert.notEqual(rootOf(g), root);
    assert.deepEqual([rootOf(g).rootCount, trees(g).roots.length], [2, 2]);
    other.vcpu.enter();
    assert.deepEqual([trees(g).roots, rootOf(g).rootCount], [[rootOf(g)], 3]);
    assert.equal(g.vm.findPage(root.spt), undefined);
    g.verify("both have a new root");
    assert.equal(g.touch(0x9000, "write"), "ok");
  });

  it("F-055 a root is given up by the MMU once, however often everything is invalidated", () => {
    const g = new TdpGuest();
    const root = rootOf(g);
    for (const id of [1, 2]) g.setSlot(id, 0x8000 * id, 0x10, HVA);
    for (const id of [1, 2]) g.setSlot(id, 0x8000 * id, 0, HVA);
    assert.deepEqual([root.rootCount, trees(g).roots], [1, [root]]);
    g.verify("two slots are gone");
    g.vcpu.enter();
    assert.equal(g.vm.findPage(root.spt), undefined);
  });

  it("F-066 pages below a root have no generation: a new one does not make them obsolete", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    const page = [...trees(g).pages].find((each) => each.level === 1)!;
    g.vm.core.state.mmuValidGen ^= 1;
    assert.equal(g.vm.core.state.isObsolete(page), false);
    assert.equal(g.vm.core.state.isObsolete(rootOf(g)), false);
  });

  it("a fault in a root that was made invalid since is tried again with the next one", () => {
    const g = new TdpGuest();
    g.setSlot(1, 0x8000, 0x10, HVA);
    let once = true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "P2" || !once) return;
      once = false;
      g.setSlot(1, 0x8000, 0, HVA);
    });
    const before = rootOf(g);
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.notEqual(rootOf(g), before);
    assert.equal(g.vcpu.mmu.stats.pf_taken, 2);
  });

  it("a host without a frame for a table stops the vCPU with a sentence", () => {
    const g = new TdpGuest({ mmuPages: 3 });
    assert.equal(g.touch(0x9000, "write"), "failed");
    assert.match(g.vcpu.failure ?? "", /no frame left .* give the machine more host memory/);
    const none = new TdpGuest({ mmuPages: 0 });
    assert.match(none.vcpu.failure ?? "", /no frame left/);
  });

  it("F-044 when the host has no frame for a table, the trees are begun anew", () => {
    const g = new TdpGuest({ mmuPages: 8 });
    const other = g.more();
    for (let i = 0; i < 40; i++) {
      assert.equal(g.touch(i * 0x40200000 + 0x100000000, "read"), "emulate");
      assert.equal(g.touch(0x200000 * (i % 8), "write", other), "ok");
    }
    assert.deepEqual([g.vcpu.failure, other.vcpu.failure], [undefined, undefined]);
    g.vcpu.enter();
    assert.ok(trees(g).roots.every((root) => !root.invalid));
  });
});
