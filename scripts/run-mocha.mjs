// Runs built specs with mocha and writes { passed, failed, tests } for the caller; `tests` has each
// test's whole title and whether it passed.
//   node scripts/run-mocha.mjs RESULTS.json FILE…
import { writeFileSync } from "node:fs";
import Mocha from "mocha";

const [resultsFile, ...files] = process.argv.slice(2);
const mocha = new Mocha({ ui: "bdd", timeout: 60_000, reporter: "dot", forbidOnly: true });
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
