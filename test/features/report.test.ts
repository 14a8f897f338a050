import assert from "node:assert/strict";
import { combine, isComplete, resultLines, summary } from "./report";
import { readRows } from "./rows";

const PAGE_TEXT = `## Some group

| id | behaviour | later |
| --- | --- | --- |
| F-001 | One thing | |
| F-002 | Another | later: nested — VMRUN is #UD |
`;
const rows = readRows(PAGE_TEXT);
const passing = (title: string) => ({ title, passed: true });

describe("the report of feature rows", () => {
  it("reads rows with their group and owner", () => {
    assert.deepEqual(rows, [
      { id: "F-001", group: "Some group", behaviour: "One thing" },
      {
        id: "F-002",
        group: "Some group",
        behaviour: "Another",
        later: { owner: "nested", standIn: "VMRUN is #UD" },
      },
    ]);
    assert.throws(() => readRows("| F-001 | One thing | soon |"), /cannot read "soon"/);
  });

  it("a row with neither test nor owner is not complete", () => {
    const results = combine(rows, [passing("nothing of the kind")]);
    assert.deepEqual(
      results.map(({ state }) => state),
      ["missing", "later"],
    );
    assert.equal(isComplete(results), false);
    assert.deepEqual(summary(results), [
      "NO TEST: F-001",
      "2 rows: 0 passed, 0 failed, 1 without a test, 1 owned by a later part",
    ]);
  });

  it("a failing test fails its rows, also the one that is owned elsewhere", () => {
    const results = combine(rows, [
      passing("group F-001 is good"),
      { title: "F-001 F-002 are bad", passed: false },
    ]);
    assert.deepEqual(
      results.map(({ state }) => state),
      ["failed", "failed"],
    );
    assert.deepEqual(resultLines(results[0]!), [
      "F-001  FAILED   One thing",
      "               · group F-001 is good",
      "               ✗ F-001 F-002 are bad",
    ]);
  });

  it("is complete when each row has a passing test or an owner", () => {
    const results = combine(rows, [passing("group F-001 is good")]);
    assert.ok(isComplete(results));
    assert.deepEqual(resultLines(results[1]!), [
      "F-002  later    Another",
      "               later: nested; until then: VMRUN is #UD",
    ]);
  });
});
