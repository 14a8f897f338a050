// Which mutants there are, what they are called, and which of them a seed draws.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { operators } from "./operators.mjs";

/** What checks the engine rather than being it, and what only says what happened. */
const LEFT_OUT = [
  /\/invariants\//,
  /announce\.ts$/,
  /spte-bits\.ts$/,
  /stats\.ts$/,
  /invariants\.ts$/,
];

/** Things that may never be forgotten: each such line is left out in turn. */
export const CLASSES = {
  rmap: /\b(rmap(Add|Remove)|setRmapHead|pteList(Add|Remove)|dropSpte|zapRmap|clearLeaf|recordTranslation|parentPtes|unlink\w+|link\w*Page)\b/,
  count:
    /\+\+|--|[-+]=|\b((dis)?allowLpage|(un)?trackWrites|(un)?account\w*|(un)?mark\w*Unsync\w*|count\w*|put\w*Root)\b/,
  flush: /flush|any = true|return true;|\brequests? \|=|\brequest\(/i,
};
const FORGETS = new Set(["left out", "list unchanged", "false for true", "flush not returned"]);

/** Every change there is, in the order of files and lines. */
export function allMutants(folders) {
  const files = folders
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => `${folder}/${name}`)
        .sort(),
    )
    .filter((file) => !LEFT_OUT.some((pattern) => pattern.test(file)));
  const seen = new Map();
  return files.flatMap((file) =>
    readFileSync(file, "utf8")
      .split("\n")
      .flatMap((line, at) =>
        operators(line).map(({ name, changed }) => {
          const key = `${file}|${name}|${line.trim()}`;
          const nth = seen.get(key) ?? 0;
          seen.set(key, nth + 1);
          const twice = name === "false for true" && /^\s*\w+ = true;$/.test(line);
          const classes =
            FORGETS.has(name) && !twice
              ? Object.keys(CLASSES).filter((each) => CLASSES[each].test(line))
              : [];
          return { id: hash(`${key}|${nth}`), file, at, nth, name, line, changed, classes };
        }),
      ),
  );
}

const hash = (text) => createHash("sha256").update(text).digest("hex").slice(0, 8);

/** Those with the lowest numbers, which the seed and the id make: other lines may change beside them. */
export function sample(all, count, seed) {
  const numbered = all.map((mutant) => ({ mutant, number: hash(`${seed}|${mutant.id}`) }));
  numbered.sort((a, b) => (a.number < b.number ? -1 : 1));
  return numbered.slice(0, count).map(({ mutant }) => mutant);
}

export const describe = ({ id, file, at, name, line, changed }) =>
  `#${id} ${file}:${at + 1} ${name}\n    - ${line.trim()}\n    + ${changed.trim() || "(gone)"}`;
