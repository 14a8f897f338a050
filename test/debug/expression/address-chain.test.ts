import assert from "node:assert/strict";
import { FUNCTIONS } from "../../../src/debug";
import { SPACE_NAMES } from "../../../src/debug/expression/space";
import { Tour } from "../tour";

describe("addresses of a guest under shadow paging", () => {
  const stopped = (): Tour => {
    const tour = new Tour("shadow");
    tour.breakpoints.setFilters([{ filter: "unsync" }]);
    tour.event();
    return tour;
  };

  it("F-012 F-037 the chain is gva, gpa, hva, hpa, from each of them on", () => {
    const tour = stopped();
    const chain = ["rip", "gpa(rip)", "hva(rip)", "hpa(rip)"].map((text) => tour.watch(text));
    for (const [n, space] of ["gpa:", "hva:", "hpa:"].entries())
      assert.ok(chain[n + 1]?.startsWith(space), chain[n + 1]);
    assert.equal(tour.watch("hva(gpa(rip))"), chain[2]);
    assert.equal(tour.watch("hpa(hva(rip))"), chain[3]);
    assert.equal(tour.watch("hpa(gpa(rip))"), chain[3]);
    assert.equal(tour.watch("gpa(hpa(rip))"), chain[1]);
    assert.equal(tour.watch("gpa(hva(rip))"), chain[1]);
  });

  it("F-012 no two spaces mix", () => {
    const tour = stopped();
    for (const text of ["gpa(rip) == hpa(rip)", "gva(rip) == gpa(rip)", "hva(rip) - hpa(rip)"])
      assert.throws(() => tour.watch(text), /do not mix/);
  });

  it("F-013 a gpa is a guest physical address", () => {
    assert.equal(SPACE_NAMES.gpa, "guest physical address");
    assert.match(FUNCTIONS.get("gpa")?.about ?? "", /guest physical address/);
    const texts = [...FUNCTIONS.values()].map(({ about }) => about);
    assert.deepEqual(
      texts.filter((text) => /guest page address/i.test(text)),
      [],
    );
  });
});
