import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { FILTERS, FUNCTIONS } from "../../src/debug";
import { PENUMBRA_EVENTS } from "../../src/kvm";

const PAGES = ["docs/expressions.md", "docs/events.md"];
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** What a page must say of each table of the code, as Markdown. */
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
  "own-events": () => [
    "| event | says |",
    "| --- | --- |",
    ...Object.entries(PENUMBRA_EVENTS).map(([name, says]) => `| \`${name}\` | ${cell(says)} |`),
  ],
};

/** The page with each table made anew from the code. */
function current(page: string, text: string): string {
  return text.replace(/<!-- ([\w-]+) -->\n[\s\S]*?<!-- end -->/g, (_, name: string) => {
    const table = TABLES[name];
    assert.ok(table, `${page} has a table "${name}" that nothing makes`);
    return `<!-- ${name} -->\n${table().join("\n")}\n<!-- end -->`;
  });
}

describe("the reference pages", () => {
  for (const page of PAGES)
    it(`${page} lists all that the code has (UPDATE_DOCS=1 rewrites)`, () => {
      const text = readFileSync(page, "utf8");
      const wanted = current(page, text);
      if (process.env.UPDATE_DOCS) writeFileSync(page, wanted);
      else assert.equal(text, wanted);
    });
});
