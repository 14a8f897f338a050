import { createHash } from "node:crypto";
import type { MachineOptions } from "../../../src/machine";
import { gpa } from "../../../src/x86";
import { type GuestProgram, guestMachine } from "./guest";
import { MEMORY } from "./layout";

/** Instructions after which a program counts as lost. */
const LIMIT = 400_000;

/** All that a guest could see at its end: how it ended, registers, its memory. */
export function outcomeOf(program: GuestProgram, options: Partial<MachineOptions>) {
  const machine = guestMachine(program, options);
  const { text, violations, ...reason } = {
    text: undefined,
    violations: undefined,
    ...machine.run(LIMIT),
  };
  const memory = machine.gpa.read(gpa(0), MEMORY);
  return {
    reason,
    problem: violations ?? text,
    registers: machine.vcpus.map(({ state }) => ({
      rip: state.rip.toString(16),
      gprs: Array.from({ length: 8 }, (_, i) => state.gpr(i).toString(16)),
    })),
    instructions: machine.tick,
    memory: createHash("sha256").update(memory).digest("hex"),
  };
}
