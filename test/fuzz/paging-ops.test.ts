import assert from "node:assert/strict";
import { PROGRAM_LENGTH, runProgram } from "./paging-ops/campaign";
import { supportedKinds } from "./paging-ops/supported";

const STEPS = Number(process.env.FUZZ_OPS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);
/** Steps from one run of all invariants to the next. */
const EVERY = Number(process.env.FUZZ_CHECK ?? 16);

describe("random guest paging operations", () => {
  it(`F-001 F-002 a guest sees what the manual says, whatever the engine: ${STEPS} steps, seed ${SEED}`, function () {
    this.timeout(0);
    const { kinds } = supportedKinds();
    for (let n = 0; n * PROGRAM_LENGTH < STEPS; n++) {
      const failure = runProgram({ seed: SEED, kinds, every: EVERY }, n);
      assert.equal(failure, undefined, failure);
    }
  });
});
