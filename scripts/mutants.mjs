// `npm run mutants`: changes one place of src/kvm/mmu and src/kvm/tdp at a time and asks whether the tests,
// and after them the fuzzer, notice. What nobody notices is printed with its line: to be killed by a test,
// or, where the change makes no difference, explained in scripts/mutants/harmless.mjs.
//   node scripts/mutants.mjs [--seed N] [--count N] [--jobs N] [--fuzz-seed N] [--fuzz-steps N]
//     [--under src/kvm/mmu,…] [--class rmap,count,flush] [--only ID,ID…] [--trusted] [--list]
// --class: every mutant that forgets such a thing, instead of a sample. A mutant keeps its id, and its place
// in the sample of a seed, as long as its line stays as it is. --trusted: the tests passed without a mutant
// the last time, so that need not be seen again.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { explainsNothing, explanation } from "./mutants/harmless.mjs";
import { allMutants, CLASSES, describe, sample } from "./mutants/mutants.mjs";
import { History, Trial } from "./mutants/trial.mjs";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "120" },
    jobs: { type: "string", default: "2" },
    "fuzz-seed": { type: "string", default: "7" },
    "fuzz-steps": { type: "string", default: "200000" },
    under: { type: "string", default: "src/kvm/mmu,src/kvm/tdp" },
    class: { type: "string" },
    only: { type: "string" },
    trusted: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const wanted = values.class?.split(",") ?? [];
const unknown = wanted.find((name) => !Object.hasOwn(CLASSES, name));
if (unknown) {
  console.error(`--class ${unknown}: choose among ${Object.keys(CLASSES).join(", ")}`);
  process.exit(2);
}

const all = allMutants(values.under.split(","));
const chosen = values.class
  ? all.filter(({ classes }) => classes.some((name) => wanted.includes(name)))
  : values.only
    ? all.filter(({ id }) => values.only.split(",").includes(id))
    : sample(all, Number(values.count), Number(values.seed));
const what = values.class ? `class ${values.class}` : values.only ? "by id" : `seed ${values.seed}`;
if (values.list) console.log(chosen.map(describe).join("\n"));
else await main();

async function main() {
  console.log(`${all.length} mutants, ${chosen.length} of them tried (${what})`);
  for (const line of explainsNothing(all)) console.log(`explains nothing any more: ${line}`);

  const root = mkdtempSync(path.join(os.tmpdir(), "penumbra-mutants-"));
  const history = new History("test-output/mutants.json");
  const fuzz =
    values["fuzz-steps"] === "0"
      ? undefined
      : ["--steps", values["fuzz-steps"], "--seed", values["fuzz-seed"]];
  const trials = Array.from(
    { length: Number(values.jobs) },
    (_, job) => new Trial(path.join(root, String(job)), history, fuzz),
  );
  try {
    if (!values.trusted) {
      const noticed = await trials[0].baseline();
      if (noticed) throw new Error(`without a mutant: ${noticed}`);
      console.log(`without a mutant: nothing is noticed (fuzz ${fuzz?.join(" ")})`);
    }
    await tryAll(trials);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function tryAll(trials) {
  const counts = { tests: 0, fuzz: 0, explained: 0, unexplained: 0, invalid: 0 };
  const survivors = [];
  const queue = [...chosen];
  const work = async (trial) => {
    for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
      const { noticed, by } = await trial.of(mutant);
      if (noticed) {
        counts[noticed]++;
        console.log(
          `${noticed === "invalid" ? by : `noticed by ${noticed} (${by})`}: #${mutant.id}`,
        );
        continue;
      }
      const why = explanation(mutant);
      counts[why ? "explained" : "unexplained"]++;
      survivors.push(why ? `${describe(mutant)}\n    explained: ${why}` : describe(mutant));
      console.log(`survived${why ? ", explained" : ""}: ${describe(mutant)}`);
    }
  };
  await Promise.all(trials.map(work));
  const tried = chosen.length - counts.invalid;
  const killed = counts.tests + counts.fuzz;
  console.log(`\nsurvivors:\n${survivors.join("\n")}`);
  console.log(
    `\n${killed} of ${tried} noticed (${((100 * killed) / tried).toFixed(1)} %; ${what}): ` +
      `${counts.tests} by tests, ${counts.fuzz} by the fuzzer; ` +
      `${counts.explained} survivors explained, ${counts.unexplained} not; ` +
      `${counts.invalid} more were no programs`,
  );
  process.exitCode = counts.unexplained > 0 ? 1 : 0;
}
