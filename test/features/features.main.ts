import { readFileSync } from "node:fs";
import { combine, isComplete, resultLines, summary, type TestResult } from "./report";
import { readRows } from "./rows";

/**
 * Prints the rows of docs/features.md with the results of mocha runs.
 *   node features.main.js WANTED RESULTS.json…     WANTED: beginnings of ids, comma-separated; "" = all
 */
const [wanted = "", ...files] = process.argv.slice(2);
const tests = files.flatMap(
  (file) => (JSON.parse(readFileSync(file, "utf8")) as { tests: TestResult[] }).tests,
);
const prefixes = wanted.split(",");
const results = combine(
  readRows().filter(({ id }) => prefixes.some((prefix) => id.startsWith(prefix))),
  tests,
);
const groups = new Set(results.map(({ row }) => row.group));
for (const group of groups) {
  console.log(`\n${group}`);
  for (const result of results)
    if (result.row.group === group) for (const line of resultLines(result)) console.log(line);
}
console.log(`\n${summary(results).join("\n")}`);
process.exitCode = isComplete(results) ? 0 : 1;
