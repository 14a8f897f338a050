// Runs built specs with mocha and writes { passed, failed, tests } for the caller; `tests` has each
// test's whole title and whether it passed.
//   node scripts/run-mocha.mjs [--side-by-side] RESULTS.json FILE…
// --side-by-side: each file in a process of its own, as many at a time as there are cores.
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import Mocha from "mocha";

const { values, positionals } = parseArgs({
  options: { "side-by-side": { type: "boolean", default: false } },
  allowPositionals: true,
});
const [resultsFile, ...files] = positionals;
const mocha = new Mocha({ ui: "bdd", timeout: 60_000, reporter: "dot", forbidOnly: true });
if (values["side-by-side"]) mocha.parallelMode(true).options.jobs = availableParallelism();
for (const file of files) mocha.addFile(file);
const tests = [];
const runner = mocha.run((failures) => {
  const { passes, pending } = runner.stats;
  // A test that is left out did not pass.
  writeFileSync(resultsFile, JSON.stringify({ passed: passes, failed: failures + pending, tests }));
  process.exitCode = failures + pending > 0 ? 1 : 0;
});
runner.on("pass", (test) => tests.push({ title: test.fullTitle(), passed: true }));
for (const event of ["fail", "pending"])
  runner.on(event, (test) => tests.push({ title: test.fullTitle(), passed: false }));
