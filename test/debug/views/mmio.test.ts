import assert from "node:assert/strict";
import { Symbols, Views } from "../../../src/debug";
import type { Era } from "../../../src/kvm";
import { Code, guestImage, machineWith } from "../../machine/guest-code";

/** The row of the spte of a page that no memslot holds, once the guest has written there. */
function mmioRow(mmu: "shadow" | "ept" | "npt", era: Era) {
  const image = guestImage(new Code().stack(0x180000).store(0xb8000, 1).nop(4));
  const memslots = [
    { gpa: 0, size: 0xa0000, flags: [] },
    { gpa: 0x100000, size: 0x100000, flags: [] },
  ];
  const machine = machineWith(image, { mmu, era, memslots });
  machine.run(3);
  const scope = { machine, vcpu: 0, symbols: new Symbols() };
  const { nodes } = new Views().page("sptes", { start: 0, count: 200 }, scope);
  return nodes.find(({ label }) => label.startsWith("gfn 0xb8 "));
}

describe("the row of an mmio spte", () => {
  for (const mmu of ["shadow", "ept", "npt"] as const)
    it(`F-142 says which memslots it was made under: ${mmu}`, () => {
      const row = mmioRow(mmu, "modern");
      assert.equal(row?.description, "level 1 · mmio of slots generation 0x4, gfn 0xb8");
      assert.equal(row?.icon, "circuit-board");
      // No page of the host is behind it.
      assert.equal(row?.hostPage, undefined);
    });

  it("F-105 has no generation where kernels kept none", () => {
    assert.equal(mmioRow("shadow", "2012")?.description, "level 1 · mmio, gfn 0xb8");
  });
});
