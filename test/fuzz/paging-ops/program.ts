import { perform } from "./operations";
import { Dice, Random } from "./random";
import { World } from "./world";

/** Numbers one operation may draw. */
const NUMBERS = 24;
/** Operations of one program: each begins with a fresh guest. */
export const PROGRAM_LENGTH = 1000;

/** A program: the numbers each operation draws from. Any part of it is a program too. */
export type Program = readonly (readonly number[])[];

export function makeProgram(seed: number, length: number): Program {
  const random = new Random(seed);
  return Array.from({ length }, () => Array.from({ length: NUMBERS }, () => random.u32()));
}

/** Runs a program, checking as it goes; what went wrong, or undefined. */
export function runProgram(
  seed: number,
  program: Program,
  checkEvery: number,
): Failure | undefined {
  const world = new World(new Random(seed));
  for (let i = 0; i < program.length; i++) {
    try {
      perform(world, new Dice(program[i]!));
      if (i % checkEvery === 0) world.checkInvariants();
      if (i % 100 === 99 || i === program.length - 1) world.compareMemory();
    } catch (error) {
      return { at: i, error };
    }
  }
  return undefined;
}

export interface Failure {
  readonly at: number;
  readonly error: unknown;
}

/** Leaves out what the failure does not need, half, quarter, … at a time. */
export function shrink(seed: number, program: Program, failure: Failure): Program {
  let least = program.slice(0, failure.at + 1);
  for (let chunk = Math.ceil(least.length / 2); chunk >= 1; chunk = Math.floor(chunk / 2)) {
    for (let from = 0; from < least.length; ) {
      const without = [...least.slice(0, from), ...least.slice(from + chunk)];
      const again = runProgram(seed, without, 1);
      if (again) least = without.slice(0, again.at + 1);
      else from += chunk;
    }
  }
  return least;
}
