import assert from "node:assert/strict";
import { readsOf } from "./memory-reads";
import { SCENARIOS } from "./mmu-scenarios";

describe("what the MMU reads for an operation", () => {
  for (const scenario of SCENARIOS.filter(({ flat }) => flat))
    it(`${scenario.name} does not grow with ${scenario.grows}`, () => {
      assert.deepEqual(readsOf(scenario.trial(4)), readsOf(scenario.trial(1)));
    });

  it("a slot that is deleted costs by what is mapped in it", () => {
    const scenario = SCENARIOS.find(({ name }) => name === "slot of 1 GB deleted");
    assert.ok(scenario);
    const few = readsOf(scenario.trial(1)).sptes;
    const many = readsOf(scenario.trial(4)).sptes;
    assert.ok(many > 3 * few && many < 4 * few, `${many} sptes read, with a fourth mapped ${few}`);
  });
});
