import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { FILTERS, FUNCTIONS } from "../../src/debug";
import { INVARIANTS, PENUMBRA_EVENTS, PROFILES, type Profile } from "../../src/kvm";

const PAGES = ["docs/expressions.md", "docs/events.md", "docs/eras.md", "docs/invariants.md"];
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** The ways in which eras differ, and what each is called in the table. */
const ERA_ROWS: readonly (readonly [keyof Profile, string])[] = [
  ["kernels", "kernels"],
  ["invalidation", "everything is invalidated page by page, or by a generation"],
  ["cachedRoots", "roots kept for a quick return"],
  ["absentRoot", "a CR3 outside the slots"],
  ["gpteWrite", "the spte after an emulated gpte write"],
  ["invlpg", "the spte after INVLPG"],
  ["syncLeaf", "leaves a sync makes anew"],
  ["emptyAfterSync", "a page that a sync leaves empty"],
  ["foundUnsyncChildren", "a found page with unsync children is synced"],
  ["unsyncTwin", "unsync pages of a frame that becomes an upper table"],
  ["flooding", "who counts writes to a table in a row"],
  ["largeOverTable", "a large leaf over a new guest table"],
  ["fastPageFault", "fast page fault"],
  ["dirtyLogGrain", "what taking the dirty log protects"],
  ["slotBitmap", "`slot_bitmap`"],
  ["changePte", "the host's change_pte"],
  ["mmioCache", "the vCPU remembers its last mmio page"],
  ["tdpMmu", "a TDP MMU of its own"],
  ["hashBuckets", "hash buckets"],
  ["addressSpaces", "address spaces"],
  ["userSlots", "memory slots"],
  ["unknownFeatures", "CPUID features not offered"],
];

function eraCell(value: Profile[keyof Profile]): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length > 0 ? value.join(", ") : "none";
  return String(value);
}

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
  eras: () => [
    `| | ${PROFILES.map(({ era }) => era).join(" | ")} |`,
    `| --- | ${PROFILES.map(() => "---").join(" | ")} |`,
    ...ERA_ROWS.map(
      ([key, says]) => `| ${says} | ${PROFILES.map((p) => eraCell(p[key])).join(" | ")} |`,
    ),
  ],
  invariants: () => [
    "| invariant | what must hold |",
    "| --- | --- |",
    ...INVARIANTS.map(({ id, rule }) => `| ${id} | ${cell(rule)} |`).sort(),
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
