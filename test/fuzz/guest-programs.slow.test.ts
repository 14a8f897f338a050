import assert from "node:assert/strict";
import { runGuestProgram } from "./guest-programs/compare";
import type { PagedMode } from "./guest-programs/layout";

const SEED = Number(process.env.FUZZ_SEED ?? 1);
const PROGRAMS = Number(process.env.FUZZ_PROGRAMS ?? 20);
const MODES: readonly PagedMode[] = ["32-bit", "PAE", "4-level", "5-level"];

describe("random guest programs", () => {
  for (const mode of MODES)
    it(`F-001 F-006 end alike under none, shadow, ept and npt, invariants checked: ${PROGRAMS} programs, ${mode}, seed ${SEED}`, function () {
      this.timeout(0);
      for (let n = 0; n < PROGRAMS; n++) {
        const failure = runGuestProgram(SEED, n, mode);
        assert.equal(failure, undefined, failure);
      }
    });
});
