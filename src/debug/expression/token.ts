import { ADDRESS_SPACES, type AddressSpace } from "./space";
import type { Atom, Place } from "./syntax";

/** A piece of an expression. */
export type Token = Place &
  (
    | Atom
    | { readonly kind: "operator"; readonly text: string }
    | { readonly kind: "end" }
    | { readonly kind: "bad"; readonly message: string }
  );

const NUMBER = "0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*";
const SPACES = ADDRESS_SPACES.join("|");

/** Tried in order at each place; sticky, so each match begins exactly there. */
const RULES: readonly (readonly [RegExp, (match: RegExpExecArray) => TokenBody])[] = [
  [new RegExp(`(${SPACES})(?:@(${NUMBER}))?:(${NUMBER})(?![\\w])`, "y"), address],
  [
    new RegExp(`(?:${SPACES})(?:@\\w*)?:\\w+`, "y"),
    ([word]) => ({ kind: "bad", message: `"${word}" is no address: digits come after the colon` }),
  ],
  [new RegExp(`(?:${NUMBER})(?![\\w])`, "y"), number],
  [
    /"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'/y,
    (m) => ({ kind: "string", value: unquote(m[1] ?? m[2] ?? "") }),
  ],
  [/\$([A-Za-z_]\w*)/y, (m) => ({ kind: "register", name: m[1] ?? "" })],
  [/&([A-Za-z_.][\w.$]*)/y, (m) => ({ kind: "symbol", name: m[1] ?? "" })],
  [/[A-Za-z_]\w*/y, (m) => ({ kind: "name", name: m[0] })],
  [
    /\|\||&&|==|!=|<=|>=|<<|>>|[?:&|^<>+\-*/%!~.,()[\]]/y,
    (m) => ({ kind: "operator", text: m[0] }),
  ],
];

type TokenBody = Token extends infer T
  ? T extends Token
    ? Omit<T, "start" | "end">
    : never
  : never;

/** The token that begins at or after `from`. `afterValue`: an `&` there is the operator, not a symbol's sign. */
export function nextToken(text: string, from: number, afterValue: boolean): Token {
  let start = from;
  while (/\s/.test(text[start] ?? "")) start++;
  if (start >= text.length) return { kind: "end", start: text.length, end: text.length };
  for (const [pattern, make] of RULES) {
    pattern.lastIndex = start;
    const match = pattern.exec(text);
    if (!match) continue;
    const body = make(match);
    if (body.kind === "symbol" && afterValue) continue;
    return { ...body, start, end: start + match[0].length } as Token;
  }
  return bad(text, start);
}

function bad(text: string, start: number): Token {
  const word = /[\w:@]+/y;
  word.lastIndex = start;
  const found = word.exec(text)?.[0];
  if (found)
    return {
      kind: "bad",
      start,
      end: start + found.length,
      message: `"${found}" is no number and no name`,
    };
  const quote = text[start] === '"' || text[start] === "'";
  const message = quote ? "this string has no end" : `"${text[start] ?? ""}" has no meaning here`;
  return { kind: "bad", start, end: quote ? text.length : start + 1, message };
}

function number(match: RegExpExecArray): TokenBody {
  const value = numberIn(match[0]);
  if (value === undefined) return { kind: "bad", message: "this number needs more than 64 bits" };
  return { kind: "number", value, shown: /^0[xb]/i.test(match[0]) ? "x" : "d" };
}

function address(match: RegExpExecArray): TokenBody {
  const space = match[1] as AddressSpace;
  const value = numberIn(match[3] ?? "");
  const root = match[2] === undefined ? undefined : numberIn(match[2]);
  if (value === undefined) return { kind: "bad", message: "this address needs more than 64 bits" };
  if (match[2] === undefined) return { kind: "address", space, value };
  if (space !== "gva" || root === undefined)
    return {
      kind: "bad",
      message: "only gva takes @ and the address of a root, as in gva@0x1000:0x400000",
    };
  return { kind: "address", space, value, root };
}

function numberIn(digits: string): bigint | undefined {
  const plain = digits.replaceAll("_", "").toLowerCase();
  if (/^0[xbo]$/.test(plain)) return undefined;
  const value = BigInt(plain);
  return value < 1n << 64n ? value : undefined;
}

function unquote(text: string): string {
  const known = new Map([
    ["n", "\n"],
    ["t", "\t"],
    ["r", "\r"],
    ["0", "\0"],
  ]);
  return text.replace(/\\(.)/gs, (_, c: string) => known.get(c) ?? c);
}
