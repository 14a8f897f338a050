import assert from "node:assert/strict";
import { runSteps } from "./campaign";
import type { EngineName } from "./setup";

/** Some five minutes of one core. */
const STEPS = 1_500_000;
const SEEDS = [2, 3, 5, 7, 11];

/** Specs of long runs over some engines: a file of its own for each, as files run side by side. */
export function atLength(engines: readonly EngineName[]): void {
  const names = engines.join(" and ");
  describe(`random guest paging operations, at length: ${names}`, () => {
    for (const seed of SEEDS)
      it(`F-001 F-002 F-003 F-007 F-008 a guest under ${names} sees what the manual says: ${STEPS / SEEDS.length} steps, seed ${seed}`, function () {
        this.timeout(0);
        const failure = runSteps(seed, STEPS / SEEDS.length, 24, engines);
        assert.equal(failure, undefined, failure);
      });
  });
}
