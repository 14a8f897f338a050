import assert from "node:assert/strict";
import path from "node:path";
import { sourceFiles } from "./source-files";

const CAP = 500;
const MEDIAN = 150;
const banned = ["utils", "util", "helpers", "helper", "types", "common", "misc"];

describe("source files", () => {
  const files = sourceFiles("src");

  it(`a file is at most ${CAP} lines, unless its first line says it is a table`, () => {
    const long = files.filter((f) => f.lines > CAP && !/\btable\b/i.test(f.firstLine));
    assert.deepEqual(
      long.map((f) => `${f.file}: ${f.lines} lines`),
      [],
    );
  });

  it(`the median file is at most ${MEDIAN} lines`, () => {
    const sizes = files.map((f) => f.lines).sort((a, b) => a - b);
    const median = sizes[Math.floor(sizes.length / 2)] ?? 0;
    assert.ok(median <= MEDIAN, `the median is ${median} lines`);
  });

  it("names are kebab-case and say what is inside", () => {
    const wrong = files.filter((f) => {
      const name = path.basename(f.file, ".ts").replace(/\.d$/, "");
      return banned.includes(name) || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name);
    });
    assert.deepEqual(
      wrong.map((f) => f.file),
      [],
    );
  });
});
