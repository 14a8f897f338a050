import assert from "node:assert/strict";
import { runSteps } from "./paging-ops/campaign";

/** Some four minutes of one core. */
const STEPS = 500_000;
const SEEDS = [2, 3, 5, 7, 11];

describe("random guest paging operations, at length", () => {
  for (const seed of SEEDS)
    it(`F-001 F-002 F-003 F-007 F-008 a guest sees what the manual says: ${STEPS / SEEDS.length} steps, seed ${seed}`, function () {
      this.timeout(0);
      const failure = runSteps(seed, STEPS / SEEDS.length, 24);
      assert.equal(failure, undefined, failure);
    });
});
