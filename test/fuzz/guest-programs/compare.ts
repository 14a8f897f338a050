import assert from "node:assert/strict";
import type { MmuMode } from "../../../src/machine";
import { literal } from "../paging-ops/print";
import { programSeed } from "../random";
import type { PagedMode } from "./layout";
import { outcomeOf } from "./outcome";
import { assemble, makePlan, type Plan } from "./program";

const ENGINES: readonly MmuMode[] = ["shadow", "ept", "npt"];
const MODES: readonly PagedMode[] = ["32-bit", "PAE", "4-level", "5-level"];

/** Runs the plan without a hypervisor and under each: throws where what the guest saw differs. */
export function replayGuest(plan: Plan): void {
  const program = assemble(plan);
  const none = outcomeOf(program, { mmu: "none" });
  assert.deepEqual(none.reason, { kind: "exit", value: 0 }, "the program must end by itself");
  for (const mmu of ENGINES)
    assert.deepEqual(outcomeOf(program, { mmu, check: true }), none, `under ${mmu}`);
}

function failureOf(plan: Plan): Error | undefined {
  try {
    replayGuest(plan);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The n-th guest program of a campaign: a text with the failure and its test, or undefined. */
export function runGuestProgram(
  seed: number,
  n: number,
  mode: PagedMode = MODES[n % MODES.length]!,
  phases = 12,
): string | undefined {
  const plan = makePlan(programSeed(seed, n), { mode, vcpus: 1 + (((n >> 2) + n) % 4), phases });
  const failure = failureOf(plan);
  if (!failure) return undefined;
  const least = shrunk(plan);
  const { operations, ...shape } = least;
  return [
    `seed ${seed}, guest program ${n}: ${failure.message}`,
    `it("fuzz: seed ${seed}, guest program ${n}", () => {`,
    `  replayGuest({ ...${literal(shape)}, operations: [`,
    ...operations.map((one) => `    ${literal(one)},`),
    "  ] });",
    "});",
  ].join("\n");
}

/** Operations are left out in halves, quarters, … as long as the rest fails. */
function shrunk(plan: Plan): Plan {
  let least = plan;
  for (let chunk = Math.ceil(plan.operations.length / 2); chunk >= 1; chunk = Math.floor(chunk / 2))
    for (let from = 0; from < least.operations.length; ) {
      const rest = [...least.operations.slice(0, from), ...least.operations.slice(from + chunk)];
      if (failureOf({ ...least, operations: rest })) least = { ...least, operations: rest };
      else from += chunk;
    }
  return least;
}
