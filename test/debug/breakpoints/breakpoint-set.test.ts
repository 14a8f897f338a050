import assert from "node:assert/strict";
import { BreakpointSet, FILTERS, parseBreakpoint, Symbols } from "../../../src/debug";
import { loaded } from "../fixture";
import { type Guest, guest } from "../guest";

function set(made: Guest, logged: string[] = []): BreakpointSet {
  const breakpoints = new BreakpointSet();
  breakpoints.attach(made.machine, made.symbols, (text) => logged.push(text));
  return breakpoints;
}

const pageFault = (made: Guest, error: number, cr2: bigint): void =>
  made.trace.emit("exception", { vector: 14, error, cr2 });

describe("breakpoints on events", () => {
  it("a page fault is told in a sentence, with the level that failed", () => {
    const made = guest().map(0x6000, 0x3000, "wu");
    set(made).setFilters([{ filter: "pf" }]);
    pageFault(made, 6, 0x7000n);
    assert.deepEqual(made.stops, [
      {
        event: "exception",
        text: "Page fault: user write to gva 0x7000, not present at level 1 (error 0x6)",
      },
    ]);
  });

  it("a page fault on a page without the right says so", () => {
    const made = guest().map(0x7000, 0x3000, "");
    set(made).setFilters([{ filter: "pf" }]);
    pageFault(made, 7, 0x7000n);
    assert.equal(
      made.stops[0]?.text,
      "Page fault: user write to gva 0x7000, not allowed at level 1 (error 0x7)",
    );
  });

  it("a filter's condition decides, with the event's fields by name", () => {
    const made = guest();
    set(made).setFilters([{ filter: "pf", condition: "cr2 >= 0x400000 && error.w" }]);
    pageFault(made, 2, 0x3ff000n);
    pageFault(made, 0, 0x400000n);
    assert.equal(made.stops.length, 0);
    pageFault(made, 2, 0x400000n);
    assert.equal(made.stops.length, 1);
  });

  it("other exceptions are other filters' business", () => {
    const made = guest();
    set(made).setFilters([{ filter: "pf" }, { filter: "df" }]);
    made.trace.emit("exception", { vector: 13, error: 0, cr2: undefined });
    assert.equal(made.stops.length, 0);
    made.trace.emit("exception", { vector: 8, error: 0, cr2: undefined });
    assert.match(made.stops[0]?.text ?? "", /^#DF double fault at rip 0x0/);
  });

  it("a function breakpoint takes its condition with or without if", () => {
    for (const name of ["pf error.w && !error.u", "pf if error.w && !error.u"]) {
      const made = guest();
      set(made).setFunctions([{ id: 7, name }]);
      pageFault(made, 6, 0x1000n);
      assert.equal(made.stops.length, 0, name);
      pageFault(made, 2, 0x1000n);
      assert.equal(made.stops.length, 1, name);
    }
  });

  it("a target is an address, a page or a range, and hits name the breakpoint", () => {
    const made = guest();
    const breakpoints = set(made);
    const verdicts = breakpoints.setFunctions([
      { id: 1, name: "invlpg 0x7000" },
      { id: 2, name: "pf 0x10000 + 0x1000" },
    ]);
    assert.ok(verdicts.every((v) => v.verified));
    made.trace.emit("invlpg", { gva: 0x8000n });
    assert.equal(made.stops.length, 0);
    made.trace.emit("invlpg", { gva: 0x7123n });
    pageFault(made, 0, 0x10fffn);
    pageFault(made, 0, 0x11000n);
    assert.deepEqual(breakpoints.takeHits(), [1, 2]);
    assert.deepEqual(breakpoints.takeHits(), []);
    assert.equal(made.stops[0]?.text, "INVLPG of gva 0x7123, not yet done");
  });

  it("an spte is named by the gpa it maps, or by its own address", () => {
    const made = guest();
    const breakpoints = set(made);
    breakpoints.setFunctions([
      { id: 1, name: "spte gpa:0x3000 w" },
      { id: 2, name: "spte hpa:0x9018 change" },
      { id: 3, name: "spte gpa:0x3000 zap" },
      { id: 4, name: "spte level 2" },
    ]);
    made.trace.emit("kvm_mmu_set_spte", { gfn: 3, spte: 0x3067n, level: 1, sptep: 0x9018 });
    assert.deepEqual(breakpoints.takeHits(), [1, 2]);
    made.trace.emit("spte_drop", {
      sptep: 0x9000,
      old: 1n,
      level: 1,
      gfn: 3,
      sp: 0,
      index: 0,
      reason: "slot",
    });
    assert.deepEqual(breakpoints.takeHits(), [1, 3]);
    made.trace.emit("kvm_mmu_set_spte", { gfn: 4, spte: 0x4067n, level: 2, sptep: 0x8000 });
    assert.deepEqual(breakpoints.takeHits(), [4]);
  });

  it("the reason of a zap can be asked for", () => {
    const made = guest();
    set(made).setFunctions([{ id: 1, name: 'spte-zap if reason == "slot"' }]);
    made.trace.emit("spte_drop", {
      sptep: 8,
      old: 1n,
      level: 1,
      gfn: 3,
      sp: 0,
      index: 0,
      reason: "sync",
    });
    assert.equal(made.stops.length, 0);
    made.trace.emit("spte_drop", {
      sptep: 8,
      old: 1n,
      level: 1,
      gfn: 3,
      sp: 0,
      index: 0,
      reason: "slot",
    });
    assert.equal(made.stops[0]?.text, "Spte dropped for gfn 0x3 at level 1: slot (was 0x1)");
  });

  it("one change that is announced twice is one hit", () => {
    const made = guest();
    const breakpoints = set(made);
    breakpoints.setFunctions([{ id: 1, name: "spte-set" }]);
    made.trace.emit("spte_update", { sptep: 0x9018, old: 1n, new: 2n });
    made.trace.emit("kvm_mmu_set_spte", { gfn: 3, spte: 2n, level: 1, sptep: 0x9018 });
    assert.deepEqual(breakpoints.takeHits(), [1]);
  });

  it("hits are counted behind the condition", () => {
    const counts: readonly (readonly [string, readonly number[]])[] = [
      ["3", [3]],
      [">=4", [4, 5, 6]],
      ["%2", [2, 4, 6]],
      ["< 3", [1, 2]],
    ];
    for (const [hitCondition, expected] of counts) {
      const made = guest();
      set(made).setFunctions([{ id: 1, name: "invlpg", condition: "gva != 0", hitCondition }]);
      const stopped: number[] = [];
      for (let n = 0; n <= 6; n++) {
        const before = made.stops.length;
        made.trace.emit("invlpg", { gva: BigInt(n) * 0x1000n });
        if (made.stops.length > before) stopped.push(n);
      }
      assert.deepEqual(stopped, expected, hitCondition);
    }
  });

  it("a log message says its expressions' values and does not stop", () => {
    const made = guest();
    const logged: string[] = [];
    set(made, logged).setFunctions([
      { id: 1, name: "invlpg", logMessage: "{{page}} {gva >> 12,d} by vcpu {vcpu}" },
    ]);
    made.trace.emit("invlpg", { gva: 0x10000n });
    assert.deepEqual(logged, ["{page} 16 by vcpu 0"]);
    assert.equal(made.stops.length, 0);
  });

  it("a condition that fails stops and shows why", () => {
    const made = guest();
    set(made).setFunctions([{ id: 1, name: "invlpg", condition: "gvv == 1" }]);
    made.trace.emit("invlpg", { gva: 0n });
    assert.equal(
      made.stops[0]?.text,
      'The condition "gvv == 1" failed: there is no gvv here; did you mean gva? (column 1)',
    );
  });

  it("a symbol gives the address to stop at, a pattern all of them", () => {
    const made = guest();
    made.symbols = loaded("sample-v5");
    const [start, pattern, none] = set(made).setFunctions([
      { id: 1, name: "_start" },
      { id: 2, name: "/re ^(_start|on_)" },
      { id: 3, name: "vist" },
    ]);
    assert.deepEqual(start?.addresses, [0x400000n]);
    assert.deepEqual(pattern?.addresses, [0x400000n, 0x40000fn]);
    assert.equal(none?.message, "There is no symbol vist; did you mean visit?");
  });

  it("what cannot be read is refused with the caret under the place", () => {
    const messages = set(guest())
      .setFunctions([
        { id: 1, name: "pf error.w &&" },
        { id: 2, name: "invlgp 0x7000" },
        { id: 3, name: "pf", hitCondition: "often" },
        { id: 4, name: "/re (" },
        { id: 5, name: "pf", logMessage: "{1 +}" },
      ])
      .map((v) => v.message);
    assert.deepEqual(messages.slice(0, 3), [
      "pf error.w &&\n             ^ a value is missing at the end",
      "invlgp 0x7000\n^^^^^^ there is no event invlgp; did you mean invlpg?",
      'often\n^^^^^ "often" counts nothing: write 5, >=5 or %10',
    ]);
    assert.match(messages[3] ?? "", /^\/re \(\n {4}\^ /);
    assert.equal(messages[4], "{1 +}\n    ^ a value is missing at the end");
    assert.equal(
      set(guest()).setFilters([{ filter: "invlgp" }])[0]?.message,
      "There is no filter invlgp; did you mean invlpg?",
    );
  });

  it("detached, it hears nothing", () => {
    const made = guest();
    const breakpoints = set(made);
    breakpoints.setFilters([{ filter: "pf" }]);
    breakpoints.dispose();
    assert.equal(made.trace.wants("exception"), false);
  });

  it("listens only to what some breakpoint wants", () => {
    const made = guest();
    set(made).setFilters([{ filter: "invlpg" }]);
    assert.equal(made.trace.wants("invlpg"), true);
    assert.equal(made.trace.wants("kvm_exit"), false);
  });
});

describe("the table of filters", () => {
  it("has one row per id, and example conditions that parse", () => {
    assert.equal(new Set(FILTERS.map((f) => f.id)).size, FILTERS.length);
    const breakpoints = new BreakpointSet();
    breakpoints.attach(guest().machine, new Symbols(), () => undefined);
    const verdicts = breakpoints.setFilters(
      FILTERS.map((f) => ({ filter: f.id, condition: f.exampleCondition })),
    );
    assert.deepEqual(
      verdicts.filter((v) => !v.verified),
      [],
    );
  });

  it("the examples of the manual parse", () => {
    for (const text of [
      "spte gpa:0x3000 w",
      "gpte gva:0x7000 level 2 change",
      "invlpg 0x7000",
      "pf error.w && !error.u",
      'spte-zap if reason == "memslot"',
      "cr3 if value == 0x4000",
      "/re ^sys_",
      "pf 0x7000 - 1 < cr2",
      "unsync sp gpa:0x3000",
      "spte slot 0 level 1 set",
    ])
      assert.ok(!("problem" in parseBreakpoint(text)), text);
  });
});
