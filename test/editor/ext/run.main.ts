import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { inspect } from "node:util";
import Mocha from "mocha";

/**
 * What `extensionTestsPath` names: the extension host calls `run` and reports 0 when it resolves
 * and 1 when it rejects, the same in the browser workbench and in a desktop VS Code.
 *
 * Writes `{ passed, failed, text }` to the file that PENUMBRA_TEST_RESULTS names, because the
 * extension host has no standard output.
 */
export function run(): Promise<void> {
  const mocha = new Mocha({
    ui: "bdd",
    color: false,
    timeout: 30_000,
    forbidOnly: true,
    ...(process.env.PENUMBRA_TEST_GREP ? { grep: process.env.PENUMBRA_TEST_GREP } : {}),
  });
  for (const file of readdirSync(__dirname).sort()) {
    if (file.endsWith(".test.js")) mocha.addFile(path.join(__dirname, file));
  }
  const lines: string[] = [];
  return new Promise((resolve, reject) => {
    const runner = mocha.run((failures) => {
      const pending = runner.stats?.pending ?? 0;
      const results = process.env.PENUMBRA_TEST_RESULTS;
      if (results) {
        // A test that is left out did not pass.
        const counts = { passed: runner.stats?.passes ?? 0, failed: failures + pending };
        writeFileSync(results, JSON.stringify({ ...counts, text: lines.join("\n") }));
      }
      if (failures + pending > 0) reject(new Error(`${failures + pending} failed`));
      else resolve();
    });
    runner.on("pass", (test) => lines.push(`  ok   ${test.fullTitle()} (${test.duration} ms)`));
    runner.on("pending", (test) => lines.push(`  SKIP ${test.fullTitle()}`));
    runner.on("fail", (test, problem) =>
      lines.push(`  FAIL ${test.fullTitle()}`, `       ${problem?.stack ?? inspect(problem)}`),
    );
  });
}
