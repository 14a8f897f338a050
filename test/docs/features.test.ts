import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { idsIn, OWNERS, readRows } from "../features/rows";

const ROWS = 192;
const rows = readRows();

/** Ids of rows that the sources of tests name. */
function idsOfTests(): Set<string> {
  const files = readdirSync("test", { recursive: true }).map(String);
  const specs = files.filter(
    (file) => file.endsWith(".test.ts") && !/^(features|docs|editor)\b/.test(file),
  );
  return new Set(specs.flatMap((file) => idsIn(readFileSync(path.join("test", file), "utf8"))));
}

describe("docs/features.md", () => {
  it("lists every row once, in order", () => {
    const ids = Array.from({ length: ROWS }, (_, n) => `F-${String(n + 1).padStart(3, "0")}`);
    assert.deepEqual(
      rows.map(({ id }) => id),
      ids,
    );
  });

  it("lists every row that a test names", () => {
    const listed = new Set(rows.map(({ id }) => id));
    assert.deepEqual(
      [...idsOfTests()].filter((id) => !listed.has(id)),
      [],
    );
  });

  it("says of each row that comes later who owns it", () => {
    for (const { id, later } of rows)
      if (later)
        assert.ok(
          OWNERS.some((owner) => owner === later.owner),
          `${id}: ${later.owner}`,
        );
  });
});
