import assert from "node:assert/strict";
import { completions, type Scope } from "../../../src/debug";
import { fixture, loaded } from "../fixture";
import { guest, withImage } from "../guest";

const labels = (text: string, scope: Scope): string[] =>
  completions(text, text.length, scope).map((c) => c.label);

describe("completion", () => {
  const { scope } = withImage(fixture("sample-v5"), loaded("sample-v5"));

  it("offers functions, address spaces and registers", () => {
    assert.deepEqual(labels("gp", scope), ["gpa", "gpte", "gpa:"]);
    assert.deepEqual(labels("1 + $cr", scope), ["$cr0", "$cr2", "$cr3", "$cr4", "$cr8"]);
  });

  it("offers symbols behind & and for the beginning of a name", () => {
    assert.deepEqual(labels("&vi", scope), ["&visit"]);
    assert.ok(labels("coun", scope).includes("counter"));
  });

  it("offers the fields of what stands before the dot, through a pointer too", () => {
    assert.deepEqual(labels("first.", scope), ["gfn", "heat", "dirty", "level", "next", "bytes"]);
    assert.deepEqual(labels("1 + head.g", scope), ["gfn"]);
    assert.ok(labels("$cr0.", scope).includes("wp"));
  });

  it("replaces the word that was begun", () => {
    const [item] = completions("1 + wal", 7, scope);
    assert.deepEqual([item?.label, item?.text, item?.start, item?.length], ["walk", "walk(", 4, 3]);
  });

  it("offers the fields of an event in a condition", () => {
    const { scope: base } = guest();
    assert.ok(labels("er", { ...base, fields: { error: 6 } }).includes("error"));
  });
});
