// `npm run features`: every row of docs/features.md with the tests that carry its id, and their results.
//   npm run features                            builds, runs the suites that carry ids, prints
//   npm run features -- --from FILE [--from …]  prints the results of earlier runs of scripts/run-mocha.mjs
//   npm run features -- --rows F-04,F-112       only rows whose ids begin so
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { from: { type: "string", multiple: true }, rows: { type: "string", default: "" } },
});
const run = (...args) => spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;

/** Built specs of the sources that name a row, in titles of their own or in tables of titles. */
function suites() {
  return readdirSync("test", { recursive: true })
    .map(String)
    .filter((file) => file.endsWith(".test.ts") && statSync(path.join("test", file)).isFile())
    .filter((file) => /\bF-\d{3}\b/.test(readFileSync(path.join("test", file), "utf8")))
    .map((file) => path.join("out/test", file.replace(/\.ts$/, ".js")))
    .sort();
}

let files = values.from;
if (run("esbuild.mjs") !== 0) process.exit(1);
if (!files) {
  mkdirSync("test-output", { recursive: true });
  files = ["test-output/features.json"];
  // Results of an earlier run are no results.
  rmSync(files[0], { force: true });
  run("scripts/run-mocha.mjs", files[0], ...suites());
  if (!existsSync(files[0])) process.exit(1);
}
process.exitCode = run("out/test/features/features.main.js", values.rows, ...files);
