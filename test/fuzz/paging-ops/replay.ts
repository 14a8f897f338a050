import { runAgain } from "./run";
import { PLAIN_SETUP, type Setup } from "./setup";
import type { Step } from "./steps";

/** Runs a program that once failed, all invariants after each step; throws where it fails again. */
export function replay(setup: Partial<Setup>, steps: readonly Step[]): void {
  const failure = runAgain({ setup: { ...PLAIN_SETUP, ...setup }, steps });
  if (failure) throw failure.error;
}
