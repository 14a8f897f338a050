import { parseExpression, parsePrefix } from "../expression/parser";
import type { Problem } from "../expression/problem";
import type { Expression } from "../expression/syntax";
import { nearest } from "../nearest";
import { EVENT_ALIASES, type EventFilter, FILTERS, filterNamed } from "./catalogue";

export const ACCESSES = ["r", "w", "x", "rw", "change", "set", "zap"] as const;
export type Access = (typeof ACCESSES)[number];

/** What an event must be about. */
export type Target =
  | { readonly kind: "address"; readonly at: Expression; readonly length?: Expression }
  | { readonly kind: "slot"; readonly id: Expression }
  | { readonly kind: "sp"; readonly at: Expression }
  | { readonly kind: "level"; readonly level: Expression };

/** A function breakpoint: an event, a symbol, or all symbols that match. */
export type ParsedBreakpoint =
  | {
      readonly kind: "event";
      readonly filters: readonly EventFilter[];
      readonly targets: readonly Target[];
      readonly access?: Access;
      readonly condition?: { readonly text: string; readonly expression: Expression };
    }
  | { readonly kind: "symbol"; readonly name: string }
  | { readonly kind: "pattern"; readonly pattern: RegExp };

/**
 * Parses one breakpoint:
 *
 *     bp     := event {target} [access] [['if'] expr] | symbol | '/re' regex
 *     target := address ['+' length] | 'slot' n | 'sp' address | 'level' n
 *     access := 'r' | 'w' | 'x' | 'rw' | 'change' | 'set' | 'zap'
 */
export function parseBreakpoint(text: string): ParsedBreakpoint | { readonly problem: Problem } {
  const pattern = /^\s*\/re\s+(.*\S)\s*$/.exec(text);
  if (pattern) return patternOf(text, pattern[1] ?? "");
  const word = /^\s*([A-Za-z_.$][\w.$-]*)/.exec(text);
  if (!word)
    return {
      problem: {
        message: `a breakpoint begins with an event or a symbol: ${EVENTS}`,
        start: 0,
        length: Math.max(1, text.length),
      },
    };
  const name = word[1] ?? "";
  const filters = filtersNamed(name);
  const rest = text.slice(word[0].length);
  if (filters) return new EventReader(text, word[0].length).read(filters);
  if (rest.trim() === "") return { kind: "symbol", name };
  const near = nearest(name, EVENT_NAMES);
  const message = `there is no event ${name}${near ? `; did you mean ${near}?` : `: there are ${EVENTS}`}`;
  return { problem: { message, start: word[0].length - name.length, length: name.length } };
}

export const EVENT_NAMES: readonly string[] = [
  ...FILTERS.map((f) => f.id),
  ...Object.keys(EVENT_ALIASES),
];
const EVENTS = EVENT_NAMES.join(" ");

function filtersNamed(name: string): readonly EventFilter[] | undefined {
  const ids = (Object.hasOwn(EVENT_ALIASES, name) ? EVENT_ALIASES[name] : undefined) ?? [name];
  const filters = ids.map(filterNamed).filter((filter) => filter !== undefined);
  return filters.length > 0 ? filters : undefined;
}

function patternOf(text: string, source: string): ParsedBreakpoint | { readonly problem: Problem } {
  const parts = /^\/(.*)\/(i?)$/.exec(source);
  try {
    return { kind: "pattern", pattern: new RegExp(parts?.[1] ?? source, parts?.[2] ?? "") };
  } catch (problem) {
    // The engine's own words say what is wrong with a pattern, and there is no way to ask without a throw.
    const why = problem instanceof Error ? problem.message : "it is no regular expression";
    return { problem: { message: why, start: text.indexOf(source), length: source.length } };
  }
}

/** Reads what follows the event's name. */
class EventReader {
  constructor(
    private readonly text: string,
    private at: number,
  ) {}

  read(filters: readonly EventFilter[]): ParsedBreakpoint | { readonly problem: Problem } {
    const targets: Target[] = [];
    for (;;) {
      const target = this.target();
      if (target === undefined) break;
      if ("problem" in target) return target;
      targets.push(target);
    }
    const access = this.access();
    const condition = this.condition();
    if (condition && "problem" in condition) return condition;
    return {
      kind: "event",
      filters,
      targets,
      ...(access ? { access } : {}),
      ...(condition ? { condition } : {}),
    };
  }

  private target(): Target | { readonly problem: Problem } | undefined {
    const worded = this.word(/^(slot|sp|level)(?=\s+[^\s=!<>&|^+*/%.,)-])/);
    if (worded !== undefined) {
      const value = this.value();
      if ("problem" in value) return value;
      const { expression } = value;
      if (worded === "slot") return { kind: "slot", id: expression };
      return worded === "sp"
        ? { kind: "sp", at: expression }
        : { kind: "level", level: expression };
    }
    this.skipSpace();
    if (!/^(?:\d|&[A-Za-z_.]|\$|(?:gva|gpa|hva|hpa|gfn|pfn)[@:])/.test(this.rest)) return undefined;
    const from = this.at;
    const value = this.value();
    if ("problem" in value) return value;
    // What goes on with an operator other than + is a condition that begins with a number.
    if (/^\s*(?:[=!<>&|^*/%.?[]|-)/.test(this.rest)) {
      this.at = from;
      return undefined;
    }
    if (this.word(/^\+/) === undefined) return { kind: "address", at: value.expression };
    const length = this.value();
    return "problem" in length
      ? length
      : { kind: "address", at: value.expression, length: length.expression };
  }

  private value(): { readonly expression: Expression } | { readonly problem: Problem } {
    const parsed = parsePrefix(this.text, this.at, "unary");
    if ("end" in parsed) this.at = parsed.end;
    return parsed;
  }

  /** `w` alone is an access; `w == 1` is a condition about something called w. */
  private access(): Access | undefined {
    const word = this.word(/^(rw|r|w|x|change|set|zap)(?=\s*$|\s+[\w"'$(!~])/);
    return ACCESSES.find((access) => access === word);
  }

  private condition():
    | { readonly text: string; readonly expression: Expression }
    | { readonly problem: Problem }
    | undefined {
    const worded = this.word(/^if\b/);
    this.skipSpace();
    const text = this.rest.trim();
    if (text === "" && worded === undefined) return undefined;
    const parsed = parseExpression(text);
    if (parsed.ok) return { text, expression: parsed.parsed.expression };
    return { problem: { ...parsed.problem, start: this.at + parsed.problem.start } };
  }

  private get rest(): string {
    return this.text.slice(this.at);
  }
  private skipSpace(): void {
    while (/\s/.test(this.text[this.at] ?? "")) this.at++;
  }
  private word(pattern: RegExp): string | undefined {
    this.skipSpace();
    const word = pattern.exec(this.rest)?.[0];
    if (word !== undefined) this.at += word.length;
    return word;
  }
}
