import assert from "node:assert/strict";
import { localsOf } from "../../src/debug";
import { Tour } from "./tour";

describe("the sample guest under the debugger", () => {
  it("stops before its own page fault is delivered, with the source and the variables", () => {
    for (const mmu of ["none", "shadow", "ept", "npt"] as const) {
      const tour = new Tour(mmu);
      tour.breakpoints.setFilters([{ filter: "pf" }]);
      assert.equal(
        tour.event(),
        "Page fault: supervisor write to gva 0x40000000, not present at level 3 (error 0x2)",
      );
      assert.deepEqual(tour.stack(), ["demand_paging", "tour", "long_mode"]);
      const frame = tour.symbols.framesAt(tour.scope.frame?.at ?? 0n)[0];
      assert.equal(frame?.path, "media/guests/paging-tour/demand-paging.c");
      assert.ok(localsOf(tour.scope).some((v) => v.name === "first"));
      assert.equal(tour.watch("first"), "gva:0x40000000");
      assert.match(tour.watch("*first"), /^not present at level 3: gpte at gpa:0x[0-9a-f]+ = 0$/);
    }
  });

  it("the stack crosses the fault's own interrupt frame", () => {
    const tour = new Tour("shadow");
    tour.breakpoints.setFilters([{ filter: "pf", condition: "!error.w" }]);
    tour.event();
    tour.breakpoints.setFilters([{ filter: "unsync" }]);
    assert.match(tour.event(), /^Shadow page of gfn 0x[0-9a-f]+ is unsync/);
    const stack = tour.stack();
    assert.equal(stack[0], "map");
    // Its parameters are in no register any more: the call that entered it still tells them.
    assert.equal(tour.watch("address"), "0x40001000");
    assert.equal(tour.watch("flags >> 63"), "0x1");
    assert.deepEqual(stack.slice(-4), ["save_and_handle", "demand_paging", "tour", "long_mode"]);
  });

  it("an address goes through all four spaces and back", () => {
    const tour = new Tour("shadow");
    tour.breakpoints.setFilters([{ filter: "pf" }]);
    tour.event();
    const gpa = tour.watch("gpa(rip)");
    assert.match(gpa, /^gpa:0x/);
    assert.equal(tour.watch("gpa(hva(rip))"), gpa);
    assert.equal(tour.watch("gpa(hpa(rip))"), gpa);
    assert.equal(tour.watch("hpa(hva(gpa(rip)))"), tour.watch("hpa(rip)"));
    assert.equal(tour.watch("swalk(rip).hpa == hpa(rip)"), "true");
    assert.equal(tour.watch("u64(rip) == u64(hpa(rip))"), "true");
    assert.equal(tour.watch("u64(gpa(rip)) == u64(hva(rip))"), "true");
    assert.equal(tour.watch("slot(gpa(rip)).id"), "0");
    assert.match(
      tour.watch("hpa(gpa:0x3000000)"),
      /is not resident in the host: it was never touched/,
    );
    assert.match(tour.watch("hva(gpa:0xfee00000)"), /no memslot holds gpa:0xfee00000/);
  });

  it("sptes are found from the address and from the page they map", () => {
    const tour = new Tour("shadow");
    tour.breakpoints.setFilters([{ filter: "unsync" }]);
    tour.event();
    assert.equal(tour.watch("spte(rip).p && !spte(rip).nx"), "true");
    assert.equal(tour.watch("spte(rip).pfn == hpa(rip) >> 12"), "true");
    assert.equal(tour.watch("spte(rip).addr == swalk(rip).steps[3].entry.addr"), "true");
    assert.equal(tour.watch("u64(spte(rip).addr) == spte(rip).value"), "true");
    assert.match(tour.watch("rmap(gpa(rip))[0]"), /^0x[0-9a-f]+ → pfn 0x[0-9a-f]+, P /);
    assert.equal(tour.watch("unsync().length"), "1");
    assert.equal(tour.watch("unsync()[0].unsync"), "true");
    assert.equal(tour.watch("roots()[0].unsync_children"), "1");
    assert.equal(tour.watch("roots()[0].gfn == cr3 >> 12"), "true");
    assert.equal(tour.watch("sp(unsync()[0].gfn).level"), "1");
    assert.equal(tour.watch("unsync()[0].parents[0].sp.level"), "2");
    assert.match(
      tour.watch("spte(gva@0x5000:0x400000)"),
      /^the processor's root is the one of CR3 0x/,
    );
    assert.match(tour.watch("dirty(gpa(rip))"), /slot 0 keeps no dirty log/);
  });

  it("asking changes nothing: the run goes on as if nobody had", () => {
    const asked = new Tour("shadow");
    const silent = new Tour("shadow");
    for (const tour of [asked, silent]) {
      tour.breakpoints.setFilters([{ filter: "unsync" }]);
      tour.event();
    }
    let events = 0;
    const off = asked.machine.trace.on("*", () => events++);
    for (const text of [
      'walk(rsp, "w")',
      "swalk(rsp)",
      "spte(rsp)",
      "gpte(rsp)",
      "u64(rsp)",
      "roots()",
      "hpa(0x40002000)",
    ])
      asked.watch(text);
    asked.stack();
    assert.equal(events, 0);
    off();
    assert.deepEqual(asked.machine.save(), silent.machine.save());
  });

  it("a breakpoint on an spte stops when that spte is written", () => {
    const tour = new Tour("shadow");
    tour.breakpoints.setFunctions([{ id: 1, name: "pf" }]);
    tour.event();
    tour.breakpoints.setFunctions([{ id: 2, name: "spte gva:0x40000000 set" }]);
    assert.match(tour.event(), /^Spte set for gfn 0x[0-9a-f]+ at level 1: now 0x/);
    assert.deepEqual(tour.breakpoints.takeHits(), [1, 2]);
    assert.equal(tour.watch("spte(0x40000000).w"), "true");
  });

  it("a write to a shadowed guest table stops behind the store, named by the address it translates", () => {
    const tour = new Tour("shadow");
    tour.breakpoints.setFunctions([{ id: 1, name: "gpte gva:0x40000000 level 3 change" }]);
    assert.match(
      tour.event(),
      /^The guest wrote 8 bytes to its shadowed table at gpa 0x[0-9a-f]+$/,
    );
    assert.equal(tour.watch("gpte(0x40000000, 3).p"), "true");
    assert.equal(tour.stack()[0], "entry_of");
  });

  it("without a hypervisor its words say how to have one", () => {
    const tour = new Tour("none");
    for (const text of ["roots()", "slot(gpa:0x1000)", "hva(gpa:0x1000)"])
      assert.match(tour.watch(text), /"mmu": "shadow"/);
  });
});
