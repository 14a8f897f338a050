import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { EVENT_NAMES, formatEvent, PENUMBRA_EVENTS } from "../../src/kvm";
import type { FieldValue } from "../../src/x86";

/** A row of the page: the event, its form as kernels write it, and the field behind each conversion. */
interface Row {
  readonly name: string;
  readonly form: string;
  readonly fields: readonly string[];
}

const text = readFileSync("docs/events.md", "utf8");
const rows = [...text.matchAll(/^\| `(\w+)` \| `(.+?)` \| (.*?) ?\|$/gm)].map(
  ([, name = "", form = "", fields = ""]): Row => ({
    name,
    form,
    fields: fields.split(" ").filter((field) => field !== ""),
  }),
);

/** A page as it is printed, and its fields. */
const PAGE = "sp gen 1 gfn 2b l1 8-byte q0 wux nxe ad root 3 unsync";
const PAGE_FIELDS = { gen: 1, gfn: 0x2b, role: 0x1701, root_count: 3, unsync: true };
/** Values of fields that are no plain numbers. */
const SAMPLES: Readonly<Record<string, FieldValue>> = {
  pferr: 0x1b,
  error_code: 0x1b,
  access: "rwxu",
  reason: "INVLPG",
  kind: "write",
  created: true,
  spurious: false,
  fixed: true,
  valid: true,
  referenced: true,
  found: true,
  insn: "89 07",
  mode: "prot64",
};
const FLAGS = "P|W|RSVD|F";
const CONVERSION = /%(#?)(0?\d*)(?:ll|l)?([xdups])|FLAGS/g;

/** The line that a kernel's printf would make of the form. */
function printed({ form, fields }: Row, values: Readonly<Record<string, FieldValue>>): string {
  const rest = [...fields];
  return form
    .replace(CONVERSION, (conversion, alternate: string, width: string, kind: string) => {
      const value = values[rest.shift() ?? ""];
      if (conversion === "FLAGS") return FLAGS;
      if (kind === "s") return String(value);
      const base = kind === "x" || kind === "p" ? 16 : 10;
      const digits = Number(value).toString(base).padStart(Number(width), "0");
      return (alternate ? "0x" : "") + digits;
    })
    .replace("PAGE", PAGE);
}

function valuesOf({ form, fields }: Row): Readonly<Record<string, FieldValue>> {
  const own = fields.map((field, n): [string, FieldValue] => {
    const sample = SAMPLES[field];
    const isText = typeof sample === "string" && !/access %x/.test(form);
    return [field, isText || typeof sample !== "string" ? (sample ?? 0xa1 + n) : 6];
  });
  const page = form.includes("PAGE") ? PAGE_FIELDS : {};
  return { ...page, write: true, vector: 14, ...Object.fromEntries(own) };
}

describe("docs/events.md", () => {
  for (const row of rows)
    it(`${row.name} is printed as "${row.form}"`, () => {
      const values = valuesOf(row);
      const event = { name: row.name, fields: values, stamp: { vcpu: 0, rip: 0n, tick: 0 } };
      assert.equal(formatEvent(event), printed(row, values));
    });

  it("lists every event that has a print form", () => {
    const listed = [...Object.keys(PENUMBRA_EVENTS), ...rows.map(({ name }) => name)];
    assert.deepEqual([...EVENT_NAMES].sort(), listed.sort());
  });
});
