import assert from "node:assert/strict";
import { makeProgram, PROGRAM_LENGTH, runProgram, shrink } from "./paging-ops/program";

const OPERATIONS = Number(process.env.FUZZ_OPS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);
/** Operations from one run of all invariants to the next. */
const CHECK_EVERY = Number(process.env.FUZZ_CHECK ?? 16);

describe("random guest paging operations", () => {
  it(`F-001 F-002 a guest sees the same under the shadow MMU and on the plain machine: ${OPERATIONS} operations, seed ${SEED}`, function () {
    this.timeout(0);
    for (let done = 0, n = 0; done < OPERATIONS; done += PROGRAM_LENGTH, n++) {
      const seed = (SEED * 0x10001 + n * 0x9e3779b1) >>> 0;
      const program = makeProgram(seed, Math.min(PROGRAM_LENGTH, OPERATIONS - done));
      const failure = runProgram(seed, program, CHECK_EVERY);
      if (!failure) continue;
      const least = shrink(seed, program, failure);
      const again = runProgram(seed, least, 1);
      assert.fail(
        `seed ${SEED}, program ${n} (seed ${seed}): ${failure.error}\nshrunk to ${least.length} operations: ${again?.error}\n${JSON.stringify(least)}`,
      );
    }
  });
});
