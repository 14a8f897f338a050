import assert from "node:assert/strict";
import { type Scope, Symbols, type ViewId, type ViewNode, Views } from "../../../src/debug";
import { rootPages } from "../../../src/kvm";
import { type PagingMode, pagingMode } from "../../../src/x86";
import { machineWith } from "../../machine/guest-code";
import { shortGuest } from "../../machine/short-guest";

/** The views over the guest, at the first moment in the paging mode when a table is unsync. */
function unsyncUnder(mode: PagingMode) {
  const machine = machineWith(shortGuest(), { mmu: "shadow" });
  const { state } = machine.vcpus[0]!;
  const isThere = (): boolean =>
    pagingMode(state) === mode &&
    rootPages(machine.vm!.vcpus[0]!.mmu.root).some(({ unsyncChildren }) => unsyncChildren > 0);
  for (let n = 0; n < 5000 && !isThere(); n++) machine.run(1);
  assert.ok(isThere());
  const scope: Scope = { machine, vcpu: 0, symbols: new Symbols() };
  const views = new Views();
  const rows = (view: ViewId, parent?: string): readonly ViewNode[] =>
    views.page(view, { start: 0, count: 200, ...(parent ? { parent } : {}) }, scope).nodes;
  return { views, scope, rows };
}

describe("the views of a guest with four pae_roots", () => {
  for (const mode of ["32-bit", "PAE"] as const)
    it(`F-077 unsync pages are found below the pae_root that leads to them: ${mode}`, () => {
      const { views, scope, rows } = unsyncUnder(mode);
      const [root, ...others] = rows("unsync");
      assert.equal(root?.label, "pae_root[0] of vcpu 0");
      assert.deepEqual(
        others.map(({ label }) => label),
        mode === "PAE" ? ["no root · unsync"] : [],
      );
      const [page] = rows("unsync", root.id);
      assert.match(page?.label ?? "", /^0x800000 · entry 4 · unsync$/);
      for (const node of [root, page, ...others])
        assert.deepEqual(views.ancestors("unsync", node?.id ?? "", scope).at(-1), node?.id);
      // Its twin is the row of the same page in Shadow Roots.
      const twin = page?.reveal?.id ?? "";
      const parent = views.ancestors("shadowRoots", twin, scope).at(-2);
      const there = rows("shadowRoots", parent).find(({ id }) => id === twin);
      assert.equal(there?.value?.split(" ")[0], page?.value?.split(" ")[0]);
    });

  it("F-016 pages of a 32-bit table say which quadrant they shadow, pages of a PAE one nothing", () => {
    const quadrants = rowsOf("32-bit").map((text) => /quadrant (\d of \d)/.exec(text)?.[1]);
    assert.deepEqual(quadrants, ["0 of 4", "1 of 4", "2 of 4", "3 of 4"]);
    for (const text of rowsOf("PAE")) assert.doesNotMatch(text, /quadrant/);
    const [root] = unsyncUnder("32-bit").rows("shadowRoots");
    assert.match(root?.tooltip ?? "", /Shadows the guest table in gfn `0x140`, quadrant 0 of 4\./);
    assert.match(root?.spoken ?? "", /quadrant 0 of 4/);
  });
});

const rowsOf = (mode: PagingMode): readonly string[] =>
  unsyncUnder(mode)
    .rows("shadowRoots")
    .filter(({ label }) => !label.includes("prev_roots"))
    .map(({ description }) => description);
