// `npm test`: lint, types, build, unit + golden + adapter specs, then the editor suites.
//   node scripts/test.mjs            all of it
//   node scripts/test.mjs --quick    without the slow specs and the editor
// The last line counts every spec, and lint, types and build as one each: "N passed, N failed".
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";

const quick = process.argv.includes("--quick");
const total = { passed: 0, failed: 0 };
mkdirSync("test-output", { recursive: true });

/** A step that passes or fails as a whole. */
function step(title, command, ...args) {
  console.log(`\n— ${title}`);
  const started = Date.now();
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error) console.error(`${title}: ${error.message}`);
  const passed = status === 0;
  total[passed ? "passed" : "failed"] += 1;
  console.log(
    `${title}: ${passed ? "ok" : "FAILED"} (${((Date.now() - started) / 1000).toFixed(1)} s)`,
  );
  return passed;
}

/** A suite that writes its own counts. */
function suite(title, ...args) {
  console.log(`\n— ${title}`);
  const started = Date.now();
  const results = path.join("test-output", `${title.replaceAll(" ", "-")}.json`);
  rmSync(results, { force: true });
  const { status } = spawnSync(
    process.execPath,
    args.flatMap((a) => (a === "RESULTS" ? [results] : [a])),
    {
      stdio: "inherit",
    },
  );
  const counts = existsSync(results)
    ? JSON.parse(readFileSync(results, "utf8"))
    : { passed: 0, failed: 0 };
  // A suite that died, or ran nothing, failed whatever it counted.
  if (counts.failed === 0 && (status !== 0 || counts.passed === 0)) counts.failed = 1;
  total.passed += counts.passed;
  total.failed += counts.failed;
  console.log(
    `${title}: ${counts.passed} passed, ${counts.failed} failed (${((Date.now() - started) / 1000).toFixed(1)} s)`,
  );
}

const specs = (wanted) =>
  readdirSync("out/test", { recursive: true })
    .map((file) => path.join("out/test", String(file)))
    .filter((file) => file.endsWith(".test.js") && !file.includes(`${path.sep}editor${path.sep}`))
    .filter((file) => file.endsWith(".slow.test.js") === (wanted === "slow"))
    .sort();

step("lint", process.execPath, "node_modules/@biomejs/biome/bin/biome", "check", ".");
step("types", process.execPath, "node_modules/typescript/bin/tsc", "--noEmit");
if (step("build", process.execPath, "esbuild.mjs")) {
  suite("specs", "scripts/run-mocha.mjs", "RESULTS", ...specs("quick"));
  if (!quick) {
    suite("slow specs", "scripts/run-mocha.mjs", "--side-by-side", "RESULTS", ...specs("slow"));
    suite("editor", "scripts/test-editor.mjs", "--results", "RESULTS");
  }
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
