// The small mistakes that `npm run mutants` makes, one at a time.

/** Lines that are no engine code: comments, imports, types, what announces or cannot happen. */
const SKIPPED = [
  /^\s*(\/\/|\/\*|\*)/,
  /^\s*(import|export \*|export type|export interface|type|interface|readonly)\b/,
  /throw new Error/,
  /announce|trace\.|reachPoint|wants\(/,
  /^\s*(case|default)\b/,
  /^\s*why?:|flushRemoteTlbs\("[^"]*"\)\s*\/\//,
];

/** Swaps of one token for another: the pattern, and what takes its place. */
const SWAPS = [
  ["equal for unequal", / === /, " !== "],
  ["unequal for equal", / !== /, " === "],
  ["below for not above", / <= /, " < "],
  ["not above for below", / < /, " <= "],
  ["above for not below", / >= /, " > "],
  ["not below for above", / > /, " >= "],
  ["or for and", / && /, " || "],
  ["and for or", / \|\| /, " && "],
  ["count down for up", /\+\+/, "--"],
  ["count up for down", /--(?!-)/, "++"],
  ["one more", / \+ 1\b/, " + 0"],
  ["one less", / - 1\b/, " - 0"],
  ["true for false", /\bfalse\b/, "true"],
  ["false for true", /\btrue\b/, "false"],
  ["bits cleared for set", / \|= /, " &= ~"],
  ["bits set for cleared", / &= ~/, " |= "],
  ["not negated", /([(\s=])!(?=[a-zA-Z(])/, "$1"],
  ["mask dropped", / & ~[\w.()]+/, ""],
];

/** Every way to change this line. */
export function operators(line) {
  if (SKIPPED.some((pattern) => pattern.test(line))) return [];
  const found = [];
  for (const [name, pattern, by] of SWAPS) {
    const changed = line.replace(pattern, by);
    if (changed !== line) found.push({ name, changed });
  }
  // A whole statement: a call, an assignment, a count, by itself or with an if, an else or a loop before it.
  const statement =
    /^(\s+)((?:else )?(?:(?:if|for) \(.*\) )?)[\w.[\]!]+(\(.*\)| [|&+-]?= .*|\+\+|--);$/.exec(line);
  if (statement)
    found.push({ name: "left out", changed: statement[2] && `${statement[1]}${statement[2]}{}` });
  const list = line.replace(/pteList(?:Add|Remove)\((.+), \w+\)/, "$1");
  if (list !== line) found.push({ name: "list unchanged", changed: list });
  const owed = line.replace(/\bflush = (?!true|false)([^;]+);/, "$1;");
  if (owed !== line && !/\b(const|let)\b/.test(line))
    found.push({ name: "flush not returned", changed: owed });
  const condition = /^(\s*(?:else )?if \()(.*)(\) (?:return|continue|break)\b.*;)$/.exec(line);
  if (condition) found.push({ name: "never", changed: `${condition[1]}false${condition[3]}` });
  return found;
}
