import { readFileSync } from "node:fs";

/** Who builds a row that this part of Penumbra leaves out. */
export const OWNERS = ["nested", "guest interface", "debugger"] as const;

/** A behaviour that is promised, as `docs/features.md` lists it. */
export interface FeatureRow {
  readonly id: string;
  readonly group: string;
  readonly behaviour: string;
  /** Owner and what stands there until then; absent when the behaviour must be here now. */
  readonly later?: { readonly owner: string; readonly standIn: string };
}

export const PAGE = "docs/features.md";
const LATER = /^later: ([a-z ]+) — (.+)$/;

/** The rows of the page, in its order. */
export function readRows(text = readFileSync(PAGE, "utf8")): FeatureRow[] {
  const rows: FeatureRow[] = [];
  let group = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("## ")) group = line.slice(3);
    const [, id, behaviour, last] = /^\| (F-\d{3}) \| (.+?) \| (.*?) ?\|$/.exec(line) ?? [];
    if (id === undefined || behaviour === undefined) continue;
    const [, owner, standIn] = LATER.exec(last ?? "") ?? [];
    if (last && !owner) throw new Error(`${PAGE}, ${id}: cannot read "${last}"`);
    rows.push({ id, group, behaviour, ...(owner && standIn ? { later: { owner, standIn } } : {}) });
  }
  return rows;
}

/** The ids in a title or a file. */
export const idsIn = (text: string): string[] => [...new Set(text.match(/\bF-\d{3}\b/g) ?? [])];
