import assert from "node:assert/strict";
import { pageTooltip } from "../../../src/debug/views/page-text";
import { OF_2010, OF_2012, type Profile } from "../../../src/kvm";
import { gfn } from "../../../src/x86";
import { touchedGuest } from "../../kvm/tables";
import { TdpGuest } from "../../kvm/tdp/tdp-guest";

describe("what is said of a shadow page", () => {
  it("F-066 F-073 a TDP root has its count, pages below it none, and none a generation", () => {
    const g = new TdpGuest();
    g.touch(0x9000, "write");
    const { root } = g.vcpu.mmu;
    assert.ok(root.kind === "page");
    const texts = [...(g.vm.core.state.tdpMmu?.pages ?? [])].map((page) => pageTooltip(g.vm, page));
    assert.equal(texts.length, 4);
    assert.match(pageTooltip(g.vm, root.page), /`tdp_mmu_root_count = 2`/);
    const below = texts.filter((text) => /`level = [123]`/.test(text));
    assert.equal(below.length, 3);
    for (const text of below) assert.doesNotMatch(text, /root_count/);
    for (const text of texts) assert.doesNotMatch(text, /mmu_valid_gen|unsync/);
    for (const text of texts) assert.match(text, /^\*\*TDP MMU page \(EPT\)\*\*/);
  });

  it("F-072 a page of the shadow MMU has root_count, unsync and its generation", () => {
    const g = touchedGuest();
    const [root] = g.vm.pagesOf(1 as never);
    assert.ok(root);
    for (const field of ["unsync", "unsync_children", "root_count", "mmu_valid_gen"])
      assert.match(pageTooltip(g.vm, root), new RegExp(`\`${field} = `));
    assert.match(pageTooltip(g.vm, root), /`root_count = 1`/);
  });

  it("F-056 F-057 F-074 the role and the fields have the names of their era", () => {
    const of = (profile: Profile): string => {
      const { vm } = touchedGuest({ profile });
      return pageTooltip(vm, vm.pagesOf(gfn(1))[0]!);
    };
    const old = of(OF_2010);
    for (const field of ["cr4_pae = 1", "nxe = 1", "multimapped = false", "slot_bitmap = 0x"])
      assert.ok(old.includes(`\`${field}`), `${field} in ${old}`);
    assert.doesNotMatch(old, /efer_nx|has_4_byte_gpte|mmu_valid_gen|write_flooding_count/);
    assert.match(of(OF_2012), /`write_flooding_count = /);
    assert.doesNotMatch(of(OF_2012), /multimapped|mmu_valid_gen/);
  });
});
