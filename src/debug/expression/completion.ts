import { evaluateExpression, throughPointer } from "./evaluate";
import { formatValue } from "./format-value";
import { FUNCTIONS } from "./functions";
import { parsePrefix } from "./parser";
import { REGISTERS } from "./registers";
import type { Scope } from "./scope";
import { ADDRESS_SPACES, SPACE_NAMES } from "./space";
import { fieldNames, isWrong } from "./value";
import { localsOf } from "./variables";

export interface Completion {
  readonly label: string;
  /** Replaces the text from `start` on, `length` characters. */
  readonly text: string;
  readonly start: number;
  readonly length: number;
  readonly kind:
    | "command"
    | "field"
    | "variable"
    | "register"
    | "function"
    | "space"
    | "symbol"
    | "slot";
  readonly detail?: string;
}

/** Symbols offered at most: a kernel has a hundred thousand. */
const SYMBOLS = 100;

/** What may stand at `column` (from 0) of an expression that is being typed. */
export function completions(source: string, column: number, scope: Scope): readonly Completion[] {
  const before = source.slice(0, column);
  const word = /[$&]?[A-Za-z_0-9]*$/.exec(before)?.[0] ?? "";
  const start = column - word.length;
  const make = (
    label: string,
    kind: Completion["kind"],
    detail?: string,
    text = label,
  ): Completion => ({
    label,
    text,
    start,
    length: word.length,
    kind,
    ...(detail === undefined ? {} : { detail }),
  });
  const offered =
    before[start - 1] === "."
      ? fieldsOf(before.slice(0, start - 1), scope, make)
      : namesAt(before, word, scope, make);
  const wanted = word.toLowerCase();
  return offered.filter(({ label }) => label.toLowerCase().startsWith(wanted));
}

type Make = (label: string, kind: Completion["kind"], detail?: string, text?: string) => Completion;

function fieldsOf(source: string, scope: Scope, make: Make): readonly Completion[] {
  // What is before the dot may itself be the end of something longer: the longest part that parses.
  for (let start = 0; start < source.length; start++) {
    const parsed = parsePrefix(source.slice(start), 0, "unary");
    if ("problem" in parsed || parsed.end !== source.length - start) continue;
    const value = evaluateExpression(parsed.expression, scope);
    if (isWrong(value)) continue;
    return fieldNames(throughPointer(value, scope)).map((name) => make(name, "field"));
  }
  return [];
}

function namesAt(before: string, word: string, scope: Scope, make: Make): readonly Completion[] {
  if (word.startsWith("$")) return REGISTERS.map(({ name }) => make(`$${name}`, "register"));
  if (word.startsWith("&"))
    return symbols(word.slice(1), scope).map((name) => make(`&${name}`, "symbol"));
  const items: Completion[] = [];
  if (/\b(?:gpa|slot|rmap|sp|dirty)\($/.test(before.slice(0, before.length - word.length)))
    for (const { base, text } of slotsOf(scope)) items.push(make(base, "slot", text));
  for (const name of Object.keys(scope.fields ?? {}))
    items.push(make(name, "field", "of the event"));
  for (const { name, type } of localsOf(scope)) items.push(make(name, "variable", type));
  for (const fn of FUNCTIONS.values())
    items.push(make(fn.name, "function", fn.about, `${fn.name}(`));
  for (const space of ADDRESS_SPACES) items.push(make(`${space}:`, "space", SPACE_NAMES[space]));
  for (const { name } of REGISTERS.slice(0, 24)) items.push(make(name, "register"));
  if (word.length > 0) for (const name of symbols(word, scope)) items.push(make(name, "symbol"));
  return items;
}

function symbols(prefix: string, scope: Scope): readonly string[] {
  const wanted = prefix.toLowerCase();
  const found = new Set<string>();
  for (const name of scope.symbols.names()) {
    if (found.size >= SYMBOLS) break;
    if (name.toLowerCase().startsWith(wanted)) found.add(name);
  }
  return [...found].sort();
}

/** The ranges of guest memory, as literals to start from. */
function slotsOf(scope: Scope): readonly { readonly base: string; readonly text: string }[] {
  const slots = scope.machine.vm
    ? evaluateExpression({ kind: "call", name: "slots", arguments: [], start: 0, end: 0 }, scope)
    : undefined;
  if (slots?.kind !== "list") return [];
  return Array.from({ length: slots.length }, (_, i) => {
    const slot = slots.at(i);
    const base =
      slot.kind === "record" ? slot.fields.find((f) => f.name === "gpa")?.value() : undefined;
    return { base: base ? formatValue(base) : "", text: formatValue(slot) };
  }).filter(({ base }) => base !== "");
}
