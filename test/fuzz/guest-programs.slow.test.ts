import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { MachineOptions } from "../../src/machine";
import { gpa } from "../../src/x86";
import { machineWith } from "../machine/guest-code";
import { image } from "./guest-programs/image";
import { MEMORY } from "./guest-programs/layout";
import { program } from "./guest-programs/program";

const SEED = Number(process.env.FUZZ_SEED ?? 1);
const PROGRAMS = Number(process.env.FUZZ_PROGRAMS ?? 12);
const LENGTH = Number(process.env.FUZZ_LENGTH ?? 80);

/** All that the guest could see at its end: how it ended, its checksum of reads and faults, its memory. */
function outcome(bytes: Uint8Array, options: Partial<MachineOptions>) {
  const machine = machineWith(bytes, { memory: MEMORY, ...options });
  const { text, violations, ...reason } = {
    text: undefined,
    violations: undefined,
    ...machine.run(200_000),
  };
  const memory = machine.gpa.read(gpa(0), MEMORY);
  return {
    reason,
    problem: violations ?? text,
    checksum: machine.vcpus[0]?.state.gpr(3).toString(16),
    instructions: machine.tick,
    memory: createHash("sha256").update(memory).digest("hex"),
  };
}

describe("random guest programs", () => {
  it(`F-001 F-006 end alike under none, shadow, ept and npt, invariants checked: ${PROGRAMS} programs of ${LENGTH}, seed ${SEED}`, function () {
    this.timeout(0);
    for (let n = 0; n < PROGRAMS; n++) {
      const seed = (SEED * 0x10001 + n * 0x9e3779b1) >>> 0;
      const bytes = image(program(seed, LENGTH));
      const none = outcome(bytes, { mmu: "none" });
      assert.deepEqual(
        none.reason,
        { kind: "exit", value: 0 },
        `program ${n} (seed ${seed}) must end by itself`,
      );
      for (const mmu of ["shadow", "ept", "npt"] as const)
        assert.deepEqual(
          outcome(bytes, { mmu, check: true }),
          none,
          `${mmu}: program ${n} of seed ${SEED} (seed ${seed})`,
        );
    }
  });
});
