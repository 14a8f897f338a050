import type { Random } from "../random";
import type { Coverage } from "./coverage";
import { Author } from "./generate/program";
import { perform } from "./perform";
import type { Mode, Setup } from "./setup";
import { ShutDown } from "./shut-down";
import type { Step } from "./steps";
import { World } from "./world";

/** A guest and what is done to it. */
export interface Program {
  readonly setup: Setup;
  readonly steps: readonly Step[];
}

export interface Failure {
  /** The program up to the step that failed. */
  readonly program: Program;
  readonly error: unknown;
}

export interface Watch {
  /** Steps from one run of all invariants to the next. */
  readonly every: number;
  readonly coverage?: Coverage;
}

/** Steps from one comparison of all memory to the next. */
const COMPARE_EVERY = 200;

/** Writes a program as it runs; what went wrong, or undefined. */
export function runNew(
  setup: Setup,
  random: Random,
  modes: readonly Mode[],
  length: number,
  { every, coverage }: Watch,
): Failure | undefined {
  const steps: Step[] = [];
  let author: Author | undefined;
  return run(
    setup,
    coverage,
    (world) => {
      if (steps.length === length) return undefined;
      author ??= new Author(world, random, modes);
      // A check lets each vCPU enter, which moves it on: it is a step that a replay takes too.
      const step: Step = (steps.length + 1) % every === 0 ? { op: "check" } : author.next();
      steps.push(step);
      return step;
    },
    steps,
  );
}

/** Runs a program that was written before. */
export function runAgain({ setup, steps }: Program): Failure | undefined {
  let next = 0;
  return run(setup, undefined, () => steps[next++], steps);
}

function run(
  setup: Setup,
  coverage: Coverage | undefined,
  next: (world: World) => Step | undefined,
  steps: readonly Step[],
): Failure | undefined {
  let done = 0;
  try {
    const world = new World(setup);
    const listener = coverage?.listensTo(world.subject.trace);
    for (let step = next(world); step; step = next(world)) {
      done++;
      perform(world, step, coverage);
      if (done % COMPARE_EVERY === 0) world.compareMemory();
    }
    world.checkInvariants();
    world.compareMemory();
    listener?.();
    return undefined;
  } catch (error) {
    if (error instanceof ShutDown) return undefined;
    return { program: { setup, steps: steps.slice(0, done) }, error };
  }
}
