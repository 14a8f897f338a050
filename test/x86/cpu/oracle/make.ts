import { readFileSync } from "node:fs";
import { type Case, type Mode, type Outcome, registerFiles, registersOf, TRAP } from "./case";
import { generate } from "./generate";
import { buildOracle, lacks, processorName, runNatively } from "./native";
import { hasUndefinedResult } from "./undefined";
import type { VectorSet } from "./vector-file";

/** Half of the linear address space that Linux keeps for itself; it hides the error code there. */
const KERNEL = 1n << 47n;

const mnemonic = (each: Case): string => each.form.split(" ")[1]!;

/** They may have done part of their work before a fault, or not: they are executed again anyway. */
const PARTIAL = new Set(["enter", "pusha", "popa"]);
const isPartial = (input: Case, outcome: Outcome): boolean =>
  outcome.trap !== TRAP.breakpoint && PARTIAL.has(mnemonic(input));

const isTelling = (input: Case, outcome: Outcome): boolean =>
  !(outcome.trap === TRAP.page && outcome.cr2 >= KERNEL) && !isPartial(input, outcome);

/** Fresh vectors from the processor of this machine. `log` hears what had to be left out. */
export function makeVectors(
  mode: Mode,
  perForm: number,
  seed: number,
  log: (line: string) => void,
): Pick<VectorSet, "processor" | "mode" | "seed" | "vectors"> {
  const cpuinfo = readFileSync("/proc/cpuinfo", "utf8");
  const files = registerFiles();
  const missing = new Set<string>();
  const cases = [...generate(mode, perForm, seed)].filter((each) => {
    const name = mnemonic(each);
    if (lacks(cpuinfo, name)) missing.add(name);
    return !missing.has(name) && !hasUndefinedResult(each, registersOf(each, files));
  });
  for (const name of missing) log(`${name}: this processor lacks it, no vectors`);
  const outcomes = runNatively(buildOracle("test-output/oracle"), cases);
  const vectors = cases
    .map((input, n) => ({ input, outcome: outcomes[n]! }))
    .filter(({ input, outcome }) => isTelling(input, outcome));
  return { processor: processorName(cpuinfo), mode, seed, vectors };
}
