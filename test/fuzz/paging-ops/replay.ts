import { runAgain } from "./run";
import { PLAIN_SETUP, type Setup } from "./setup";
import type { Step } from "./steps";

/** Runs a program that once failed; throws where it fails again. */
export function replay(setup: Partial<Setup>, steps: readonly Step[]): void {
  const failure = runAgain({ setup: { ...PLAIN_SETUP, ...setup }, steps });
  if (failure) throw failure.error;
}

/** The same with all invariants checked after each step, for which every vCPU enters. */
export function replayChecking(setup: Partial<Setup>, steps: readonly Step[]): void {
  replay(
    setup,
    steps.flatMap((step): Step[] => [step, { op: "check" }]),
  );
}
