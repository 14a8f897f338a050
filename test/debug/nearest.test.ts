import assert from "node:assert/strict";
import { nearest } from "../../src/debug";

describe("the nearest known word", () => {
  const cases: readonly (readonly [string, readonly string[], string | undefined])[] = [
    ["memroy", ["memory", "memslots"], "memory"],
    ["PROGRAM", ["program"], "program"],
    ["pw", ["pe", "wp"], "wp"],
    ["x", ["y", "z"], undefined],
    ["kernel", ["program", "initrd"], undefined],
    ["invlgp", ["invlpg", "vmexit"], "invlpg"],
    ["aa", ["ab", "ac"], "ab"],
    ["", ["a"], undefined],
  ];
  for (const [word, candidates, expected] of cases)
    it(`${JSON.stringify(word)} among ${candidates.join(" ")} is ${expected ?? "nothing"}`, () => {
      assert.equal(nearest(word, candidates), expected);
    });
});
