import assert from "node:assert/strict";
import { pageTooltip } from "../../../src/debug/views/page-text";
import { touchedGuest } from "../../kvm/tables";
import { TdpGuest } from "../../kvm/tdp/tdp-guest";

describe("what is said of a shadow page", () => {
  it("F-066 F-073 a TDP root has its count, pages below it neither count nor generation", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    const { root } = g.vcpu.mmu;
    assert.ok(root.kind === "page");
    const texts = [...(g.vm.core.state.tdpMmu?.pages ?? [])].map(pageTooltip);
    assert.equal(texts.length, 4);
    assert.match(pageTooltip(root.page), /`tdp_mmu_root_count = 2`/);
    assert.match(pageTooltip(root.page), /`mmu_valid_gen = 0`/);
    const below = texts.filter((text) => /`level = [123]`/.test(text));
    assert.equal(below.length, 3);
    for (const text of below) assert.doesNotMatch(text, /mmu_valid_gen|root_count|unsync/);
  });

  it("F-072 a page of the shadow MMU has root_count, unsync and its generation", () => {
    const g = touchedGuest();
    const [root] = g.vm.pagesOf(1 as never);
    assert.ok(root);
    for (const field of ["unsync", "unsync_children", "root_count", "mmu_valid_gen"])
      assert.match(pageTooltip(root), new RegExp(`\`${field} = `));
    assert.match(pageTooltip(root), /`root_count = 1`/);
  });
});
