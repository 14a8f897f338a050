import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { FILTERS, FUNCTIONS } from "../../src/debug";

const PAGE = "docs/expressions.md";
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** What the page must say of each table of the code, as Markdown. */
const TABLES: Readonly<Record<string, () => readonly string[]>> = {
  functions: () => [
    "| function | gives |",
    "| --- | --- |",
    ...[...FUNCTIONS.values()].map(
      ({ signature, about }) => `| \`${cell(signature)}\` | ${cell(about)} |`,
    ),
  ],
  filters: () => [
    "| filter | stops on | kind | fields | for example |",
    "| --- | --- | --- | --- | --- |",
    ...FILTERS.map((f) => {
      const fields = f.fields.map((name) => `\`${name}\``).join(" ");
      return `| \`${f.id}\` | ${cell(f.description)} | ${f.when} | ${fields} | \`${cell(f.exampleCondition)}\` |`;
    }),
  ],
};

/** The page with each table made anew from the code. */
function current(text: string): string {
  return text.replace(/<!-- (\w+) -->\n[\s\S]*?<!-- end -->/g, (_, name: string) => {
    const table = TABLES[name];
    assert.ok(table, `${PAGE} has a table "${name}" that nothing makes`);
    return `<!-- ${name} -->\n${table().join("\n")}\n<!-- end -->`;
  });
}

describe("the reference pages", () => {
  it("list every function and filter as the code has them (UPDATE_DOCS=1 rewrites)", () => {
    const text = readFileSync(PAGE, "utf8");
    const wanted = current(text);
    if (process.env.UPDATE_DOCS) writeFileSync(PAGE, wanted);
    else assert.equal(text, wanted);
  });
});
