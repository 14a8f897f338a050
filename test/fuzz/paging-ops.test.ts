import assert from "node:assert/strict";
import { runSteps } from "./paging-ops/campaign";

const STEPS = Number(process.env.FUZZ_STEPS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

describe("random guest paging operations", () => {
  it(`F-001 F-002 F-003 F-007 F-008 a guest sees what the manual says, whatever engine, era and mode: ${STEPS} steps, seed ${SEED}`, function () {
    this.timeout(0);
    const failure = runSteps(SEED, STEPS, 16);
    assert.equal(failure, undefined, failure);
  });
});
