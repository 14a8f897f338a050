import assert from "node:assert/strict";
import {
  parseBreakpoint,
  parseExpression,
  type ViewId,
  type ViewNode,
  Views,
} from "../../../src/debug";
import { Changes } from "../../../src/debug/views/changes";
import { ENTRIES, isLeaf } from "../../../src/kvm";
import { Tour } from "../tour";

/** The views over the tour, asked the way the adapter asks. */
function viewer(tour: Tour) {
  const views = new Views();
  const { scope } = tour;
  const all = (view: ViewId, parent?: string, filter?: string): readonly ViewNode[] => {
    const page = views.page(
      view,
      { start: 0, count: 100_000, ...(parent ? { parent } : {}), ...(filter ? { filter } : {}) },
      scope,
    );
    assert.equal(page.total, page.nodes.length);
    return page.nodes;
  };
  /** Every node below one, that one first. */
  const below = (view: ViewId, node: ViewNode): readonly ViewNode[] => [
    node,
    ...(node.children === "none" ? [] : all(view, node.id).flatMap((child) => below(view, child))),
  ];
  return { views, all, below };
}

function stoppedAtUnsync(): Tour {
  const tour = new Tour("shadow");
  tour.breakpoints.setFilters([{ filter: "unsync" }]);
  tour.event();
  return tour;
}

/** Present leaves and mmio sptes of all active pages, counted from the bytes. */
function leaves(tour: Tour): number {
  const { vm } = tour.machine;
  assert.ok(vm);
  const { format } = vm;
  let count = 0;
  for (const page of vm.activePages())
    for (let i = 0; i < ENTRIES; i++) {
      const lo = vm.words[2 * (page.base + i)] ?? 0;
      const hi = vm.words[2 * (page.base + i) + 1] ?? 0;
      if (format.isPresent(lo, hi) ? isLeaf(lo, page.level) : format.isMmio(lo, hi)) count++;
    }
  return count;
}

describe("the views", () => {
  it("Shadow Roots leads from each root to every leaf below it, in runs", () => {
    const tour = stoppedAtUnsync();
    const { all, below } = viewer(tour);
    const [root] = all("shadowRoots");
    assert.match(root?.description ?? "", /^cr3 0x[0-9a-f]+ · level 4 · gfn 0x[0-9a-f]+ · wux/);
    assert.match(root?.tooltip ?? "", /`efer_nx = 1`/);
    const nodes = root ? below("shadowRoots", root) : [];
    assert.ok(nodes.some((n) => n.context === "run"));
    const leaf = nodes.find((n) => n.context === "spte gpte");
    assert.match(leaf?.description ?? "", /^gpte 0x[0-9a-f]+ P .+ (→|≠) spte 0x[0-9a-f]+ P /);
    assert.match(
      leaf?.spoken ?? "",
      /^shadow entry \d+, level 1, address [0-9a-f]+ hex, present, /,
    );
  });

  it("a root of a guest that does not page says so, in each word of pae_root", () => {
    const tour = new Tour("shadow");
    tour.machine.run(3);
    const [root] = viewer(tour).all("shadowRoots");
    assert.equal(root?.label, "pae_root[0] · vcpu 0");
    assert.match(root?.description ?? "", /^guest does not page · level 2 · direct from gfn 0x0/);
  });

  it("a leaf whose rights differ from its gpte's is marked, and its tooltip says why", () => {
    const { all } = viewer(stoppedAtUnsync());
    const differing = all("sptes").filter((n) => n.description.includes("≠"));
    assert.ok(differing.length > 0);
    for (const node of differing) {
      assert.match(node.tooltip, /\*\*Differs\*\*\n- spte /);
      assert.match(node.spoken, /differs from the guest entry/);
    }
  });

  it("Sptes has one row for each spte that maps something", () => {
    const tour = stoppedAtUnsync();
    assert.equal(viewer(tour).all("sptes").length, leaves(tour));
  });

  it("Sptes of an address are those that the rmap knows", () => {
    const tour = stoppedAtUnsync();
    const { all } = viewer(tour);
    const found = all("sptes", undefined, "rip");
    assert.equal(String(found.length), tour.watch("rmap(gpa(rip)).length"));
    const gfn = tour.watch("gpa(rip) >> 12,x");
    assert.ok(found.every((n) => n.label.startsWith(`gfn ${gfn} `)));
  });

  it("each spte leads to its place in Shadow Roots, runs included, and back", () => {
    const tour = stoppedAtUnsync();
    const { views, all } = viewer(tour);
    const linked = all("sptes").filter((n) => n.reveal);
    assert.ok(linked.length > 10);
    for (const spte of linked) {
      const path = views.ancestors("shadowRoots", spte.reveal?.id ?? "", tour.scope);
      let parent: string | undefined;
      let node: ViewNode | undefined;
      for (const id of path) {
        node = all("shadowRoots", parent).find((n) => n.id === id);
        assert.ok(node, `${id} below ${parent}`);
        parent = id;
      }
      assert.deepEqual(node?.reveal, { view: "sptes", id: spte.id });
      assert.equal(node?.value, spte.value);
    }
  });

  it("Unsync leads from the root to the unsync page", () => {
    const tour = stoppedAtUnsync();
    const { views, all, below } = viewer(tour);
    const [root] = all("unsync");
    const path = root ? below("unsync", root) : [];
    const page = path.find((n) => n.context === "unsync sp");
    assert.match(page?.label ?? "", /unsync$/);
    assert.equal(path[0]?.description.startsWith("1 unsync child"), true);
    assert.deepEqual(
      views.ancestors("unsync", page?.id ?? "", tour.scope),
      path.slice(0, 4).map((n) => n.id),
    );
    assert.equal(views.page("unsync", { start: 0, count: 10 }, tour.scope).badge, 1);
  });

  it("Memslots has the place in guest and host, and what is inside", () => {
    const { all } = viewer(stoppedAtUnsync());
    const [slot] = all("memslots");
    assert.match(slot?.description ?? "", /^gpa 0x0–0x3ffffff · 64 MiB · hva 0x7f0000000000$/);
    assert.ok(
      all("memslots", slot?.id).some((n) => n.label === "shadow pages" && Number(n.value) > 0),
    );
  });

  it("F-007 Memslots says what the host has behind a slot", () => {
    const tour = stoppedAtUnsync();
    const { all } = viewer(tour);
    const fact = (label: string): string =>
      all("memslots", all("memslots")[0]?.id).find((n) => n.label === label)?.value ?? "";
    assert.equal(fact("host memory"), "anonymous");
    const resident = Number(fact("resident").split(" of ")[0]);
    assert.ok(resident > 10 && fact("resident").endsWith(" of 16384"));
    tour.machine.host?.reclaim(5);
    assert.equal(fact("resident"), `${resident - 5} of 16384`);
    assert.equal(fact("not resident"), "5 swapped, 0 poisoned");
  });

  it("what changed since the last stop is marked, in words too", () => {
    const tour = stoppedAtUnsync();
    const { views, all } = viewer(tour);
    const before = all("unsync");
    assert.ok(before.every((n) => n.change === undefined));
    tour.event();
    views.nextStop();
    const sptes = viewer(tour).all("sptes");
    assert.ok(
      sptes.every((n) => n.change === undefined),
      "a view that was not open has nothing to compare with",
    );
    const after = all("unsync");
    for (const node of after.filter((n) => n.change))
      assert.match(node.tooltip, /since the last stop/);
  });

  it("an spte that joins a run is not gone, and one that was there already is not new", () => {
    const row = (id: string): ViewNode => ({
      ...{ id, label: id, description: "", tooltip: "", spoken: "", icon: "", context: "spte" },
      ...{ children: "none", value: id },
    });
    const changes = new Changes();
    changes.mark("p", [row("p/1"), row("p/4"), row("p/7")]);
    changes.nextStop();
    const marks = changes.mark("p", [row("p/1-2"), row("p/5"), row("p/7")]);
    assert.deepEqual(
      marks.map(({ id, change }) => [id, change]),
      [
        ["p/1-2", "changed"],
        ["p/5", "new"],
        ["p/7", undefined],
        ["p/4~gone", "dropped"],
      ],
    );
  });

  it("every node has a spoken label, and its watch and breakpoint can be read", () => {
    const tour = stoppedAtUnsync();
    const { all, below } = viewer(tour);
    const ids = new Set<string>();
    for (const view of ["shadowRoots", "sptes", "unsync", "memslots"] as const)
      for (const node of all(view).flatMap((n) => below(view, n))) {
        assert.ok(!ids.has(`${view} ${node.id}`), node.id);
        ids.add(`${view} ${node.id}`);
        assert.ok(node.spoken.length > 0);
        if (node.watch) assert.ok(parseExpression(node.watch).ok, node.watch);
        if (node.breakpoint)
          assert.ok(!("problem" in parseBreakpoint(node.breakpoint)), node.breakpoint);
      }
  });

  it("the watch of a row shows that row's spte", () => {
    const tour = stoppedAtUnsync();
    const { all, below } = viewer(tour);
    const leafs = all("shadowRoots")
      .slice(0, 1)
      .flatMap((n) => below("shadowRoots", n))
      .filter((n) => n.context === "spte gpte")
      .slice(0, 20);
    assert.ok(leafs.length > 0);
    for (const leaf of leafs) assert.equal(tour.watch(`(${leaf.watch}).value`), leaf.value);
  });

  it("a page of rows is the same as that part of all rows", () => {
    const tour = stoppedAtUnsync();
    const { views, all } = viewer(tour);
    const whole = all("sptes");
    const part = views.page("sptes", { start: 7, count: 5 }, tour.scope);
    assert.deepEqual(
      part.nodes.map((n) => n.id),
      whole.slice(7, 12).map((n) => n.id),
    );
    assert.equal(part.total, whole.length);
    assert.deepEqual(views.page("sptes", { start: 1_000_000, count: 5 }, tour.scope).nodes, []);
  });

  it("without a hypervisor each view says why it is empty", () => {
    const tour = new Tour("none");
    for (const view of ["shadowRoots", "sptes", "unsync", "memslots"] as const)
      assert.match(
        new Views().page(view, { start: 0, count: 10 }, tour.scope).message ?? "",
        /no hypervisor/,
      );
  });
});
