import { programSeed, Random } from "../random";
import type { Coverage } from "./coverage";
import { anySetup } from "./generate/program";
import { asTest } from "./print";
import { runNew } from "./run";
import { ENGINES, type EngineName } from "./setup";
import { shrink } from "./shrink";
import { type GuestKind, modesBeside, supportedKinds } from "./supported";

/** Steps of one program: each begins with a fresh guest. */
export const PROGRAM_LENGTH = 1000;

export interface Campaign {
  readonly seed: number;
  readonly kinds: readonly GuestKind[];
  /** Steps from one run of all invariants to the next. */
  readonly every: number;
  readonly coverage?: Coverage;
  /** Leave a failure as long as it was found. */
  readonly unshrunk?: boolean;
}

/** The n-th program of a campaign: a text with the failure and its test, or undefined. */
export function runProgram(campaign: Campaign, n: number): string | undefined {
  const { seed, kinds, every, coverage } = campaign;
  const random = new Random(programSeed(seed, n));
  const setup = anySetup(random, kinds);
  coverage?.count("guests", `${setup.mmu} ${setup.era} ${setup.mode}, ${setup.tlb.length} vCPUs`);
  const watch = coverage ? { every, coverage } : { every };
  const failure = runNew(setup, random, modesBeside(kinds, setup), PROGRAM_LENGTH, watch);
  if (!failure) return undefined;
  if (campaign.unshrunk) return `seed ${seed}, program ${n}: ${messageOf(failure.error)}`;
  const least = shrink(failure);
  const title = `fuzz: seed ${seed}, program ${n}`;
  const from = failure.program.steps.length;
  return [
    `seed ${seed}, program ${n}: ${messageOf(failure.error)}`,
    `shrunk from ${from} to ${least.program.steps.length} steps: ${messageOf(least.error)}`,
    asTest(title, least.program, least.error),
  ].join("\n");
}

/** Programs of so many steps together, of every kind these engines have: the first failure, if any. */
export function runSteps(
  seed: number,
  steps: number,
  every: number,
  engines: readonly EngineName[] = ENGINES,
): string | undefined {
  const { kinds } = supportedKinds(engines);
  for (let n = 0; n * PROGRAM_LENGTH < steps; n++) {
    const failure = runProgram({ seed, kinds, every }, n);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
