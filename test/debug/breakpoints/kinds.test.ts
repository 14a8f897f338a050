import assert from "node:assert/strict";
import { BreakpointSet } from "../../../src/debug";
import { guest } from "../guest";
import { Tour } from "../tour";

/** What is ticked in the tour, and what the stop says. */
const KINDS: readonly (readonly [string, RegExp])[] = [
  ["pf", /^Page fault: supervisor write to gva 0x40000000, not present at level 3/],
  ["shadow-fault", /^Shadow fault: supervisor execution of gva 0x[0-9a-f]+ \(error 0x10\)$/],
  ["invlpg", /^INVLPG of gva 0x40[0-9a-f]{6}, not yet done$/],
  ["unsync", /^Shadow page of gfn 0x[0-9a-f]+ is unsync: its guest table became writable$/],
  ["sync", /^Shadow page of gfn 0x[0-9a-f]+ synced$/],
  ["spte-zap", /^Spte dropped for gfn 0x[0-9a-f]+ at level 1: \w+/],
  ["gpte-write", /^The guest wrote 8 bytes to its shadowed table at gpa 0x[0-9a-f]+$/],
];

describe("breakpoints on what the MMU does", () => {
  for (const [filter, text] of KINDS)
    it(`F-183 ${filter} stops a running guest and says what happened`, () => {
      const tour = new Tour("shadow");
      tour.breakpoints.setFilters([{ filter }]);
      assert.match(tour.event(), text);
    });

  it("F-183 a change of the slots generation stops once it is over", () => {
    const made = guest();
    const breakpoints = new BreakpointSet();
    breakpoints.attach(made.machine, made.symbols, () => undefined);
    breakpoints.setFilters([{ filter: "memslot" }]);
    const change = { as_id: 0, before: 2n, after: 4n };
    made.trace.emit("generation", { ...change, in_progress: true });
    assert.equal(made.stops.length, 0);
    made.trace.emit("generation", { ...change, in_progress: false });
    assert.equal(made.stops[0]?.event, "generation");
  });
});
