import assert from "node:assert/strict";
import type { MmuMode } from "../../src/machine";
import type { PagedMode } from "./guest-programs/layout";
import { outcomeOf } from "./guest-programs/outcome";
import { makeProgram } from "./guest-programs/program";
import { programSeed } from "./random";

const SEED = Number(process.env.FUZZ_SEED ?? 1);
const PROGRAMS = Number(process.env.FUZZ_PROGRAMS ?? 20);
const PHASES = Number(process.env.FUZZ_PHASES ?? 12);
const MODES: readonly PagedMode[] = ["32-bit", "PAE", "4-level", "5-level"];
const ENGINES: readonly MmuMode[] = ["shadow", "ept", "npt"];

describe("random guest programs", () => {
  for (const mode of MODES)
    it(`F-001 end alike under none, shadow, ept and npt, invariants checked: ${PROGRAMS} programs of ${PHASES} phases, ${mode}, seed ${SEED}`, function () {
      this.timeout(0);
      for (let n = 0; n < PROGRAMS; n++) {
        const seed = programSeed(SEED, n);
        const program = makeProgram(seed, { mode, vcpus: 1 + (n % 4), phases: PHASES });
        const none = outcomeOf(program, { mmu: "none" });
        const said = `program ${n} (seed ${seed})`;
        assert.deepEqual(none.reason, { kind: "exit", value: 0 }, `${said} must end by itself`);
        for (const mmu of ENGINES)
          assert.deepEqual(outcomeOf(program, { mmu, check: true }), none, `${said} under ${mmu}`);
      }
    });
});
