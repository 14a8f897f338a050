import assert from "node:assert/strict";
import { type ViewNode, Views } from "../../src/debug";
import { Tour } from "./tour";

for (const mmu of ["ept", "npt"] as const)
  describe(`the sample guest under ${mmu} and the debugger`, () => {
    /** At the guest's first page fault. */
    const stopped = (): Tour => {
      const tour = new Tour(mmu);
      tour.breakpoints.setFilters([{ filter: "pf" }]);
      assert.match(tour.event(), /^Page fault: supervisor write to gva 0x40000000/);
      return tour;
    };

    it("F-015 F-182 an address goes through both dimensions", () => {
      const tour = stopped();
      assert.equal(tour.watch("swalk(rip).hpa == hpa(rip)"), "true");
      assert.equal(tour.watch("gpa(hpa(rip)) == gpa(rip)"), "true");
      assert.equal(tour.watch("spte(rip).pfn == hpa(rip) >> 12"), "true");
      assert.equal(tour.watch("spte(rip).addr == swalk(rip).steps[3].entry.addr"), "true");
      assert.equal(tour.watch("u64(spte(rip).addr) == spte(rip).value"), "true");
      assert.equal(tour.watch("spte(rip).host_w"), "true");
      assert.equal(tour.watch(mmu === "ept" ? "spte(rip).r" : "spte(rip).p"), "true");
    });

    it("what the guest does not map is said in its own terms", () => {
      const tour = stopped();
      assert.match(tour.watch("swalk(0x40000000)"), /not present at level 3: gpte at gpa:0x/);
    });

    it("every view shows without a complaint", () => {
      const tour = stopped();
      const views = new Views();
      const { scope } = tour;
      const all = (view: "shadowRoots" | "sptes" | "memslots", parent?: string) =>
        views.page(view, { start: 0, count: 100_000, ...(parent ? { parent } : {}) }, scope).nodes;
      const below = (node: ViewNode): readonly ViewNode[] => [
        node,
        ...(node.children === "none" ? [] : all("shadowRoots", node.id).flatMap(below)),
      ];
      const roots = all("shadowRoots");
      assert.equal(roots.length, 1);
      assert.ok(roots.flatMap(below).length > 10);
      all("sptes");
      assert.ok(all("memslots").length > 0);
    });

    it("F-182 F-066 F-073 the tree of the TDP MMU is shown, and who maps a page", () => {
      const tour = stopped();
      const { vm } = tour.machine;
      const views = new Views();
      const page = (view: "shadowRoots" | "sptes" | "memslots") =>
        views.page(view, { start: 0, count: 100_000 }, tour.scope).nodes;
      const [root] = page("shadowRoots");
      assert.equal(
        root?.description,
        `${mmu.toUpperCase()}, gpa → hpa · level 4 · direct from gfn 0x0 · wux`,
      );
      assert.match(root?.tooltip ?? "", /TDP MMU page.*tdp_mmu_root_count = 2/s);
      const leaves = vm!.countsOf(vm!.slots[0]!);
      assert.ok(leaves.sptes > 10 && vm!.usedPages === 0 && (vm!.tdpMmuPages ?? 0) >= 3);
      assert.ok(page("sptes").length >= leaves.sptes);
      assert.equal(tour.watch("roots()[0].tdp_mmu_root_count"), "2");
      assert.equal(tour.watch("rmap(gpa(rip))[0].sp.level"), "1");
      assert.equal(tour.watch("rmap(gpa(rip))[0].value == spte(rip).value"), "true");
    });

    it("rows speak of guest-physical addresses, and why nothing is unsync", () => {
      const tour = stopped();
      const views = new Views();
      const page = (view: "sptes" | "unsync") =>
        views.page(view, { start: 0, count: 9 }, tour.scope);
      const [leaf] = page("sptes").nodes;
      assert.ok(leaf?.watch);
      assert.match(leaf.label, /^gfn 0x(?<gfn>[0-9a-f]+) · gpa 0x\k<gfn>000$/);
      assert.match(leaf.spoken, /guest physical address/);
      assert.equal(tour.watch(`(${leaf.watch}).value`), leaf.value);
      assert.match(
        page("unsync").message ?? "",
        new RegExp(`^Empty by nature under ${mmu.toUpperCase()}`),
      );
      if (mmu === "ept") assert.match(leaf.description, / R W X WB IPAT A D /);
    });

    it("violations and misconfigurations are exits a breakpoint can name", () => {
      const tour = new Tour(mmu);
      const names = { ept: ["EPT_VIOLATION", "CR_ACCESS"], npt: ["npf", "cr0_sel_write"] };
      const seen = new Set<unknown>();
      tour.machine.trace.on("kvm_exit", ({ fields }) => seen.add(fields.reason));
      tour.run();
      for (const name of names[mmu]) assert.ok(seen.has(name), `${name}; seen: ${[...seen]}`);
      assert.ok((tour.machine.exits[names[mmu][0]!] ?? 0) > 10);
    });
  });
