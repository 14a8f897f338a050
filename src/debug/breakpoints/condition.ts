import { evaluate, evaluateExpression } from "../expression/evaluate";
import { formatValue } from "../expression/format-value";
import { parseExpression } from "../expression/parser";
import { oneLine, type Problem } from "../expression/problem";
import type { Scope } from "../expression/scope";
import type { Expression } from "../expression/syntax";
import { isTrue, isWrong } from "../expression/value";

/** What a person may add to any breakpoint, as clients send it. */
export interface Conditions {
  readonly condition?: string;
  readonly hitCondition?: string;
  readonly logMessage?: string;
}

/** Whether an arrival at a breakpoint counts; decided once for each arrival. */
export type Decision =
  | { readonly kind: "pass" }
  | { readonly kind: "log"; readonly text: string }
  /** `text`: the reason, when it is not the breakpoint itself but an error in its condition. */
  | { readonly kind: "stop"; readonly text?: string };

/** The conditions of one breakpoint with its count of hits, checked when made. */
export class Gate {
  private hits = 0;

  constructor(
    private readonly conditions: readonly {
      readonly text: string;
      readonly expression: Expression;
    }[],
    private readonly counts: HitTest | undefined,
    private readonly message: string | undefined,
  ) {}

  /** The guest begins again: so does the count. */
  recount(): void {
    this.hits = 0;
  }

  /** Evaluates the condition, counts the hit and asks the hit condition, in this order. */
  decide(scope: Scope): Decision {
    for (const { text, expression } of this.conditions) {
      const outcome = evaluateExpression(expression, scope);
      if (isWrong(outcome))
        return { kind: "stop", text: `The condition "${text}" failed: ${oneLine(outcome)}` };
      if (!isTrue(outcome)) return { kind: "pass" };
    }
    this.hits++;
    if (this.counts && !this.counts(this.hits)) return { kind: "pass" };
    if (this.message === undefined) return { kind: "stop" };
    return { kind: "log", text: interpolate(this.message, scope) };
  }
}

type HitTest = (hits: number) => boolean;

/** A gate, or which of the three texts is wrong and where. */
export function gateOf(
  { condition, hitCondition, logMessage }: Conditions,
  more: readonly { readonly text: string; readonly expression: Expression }[] = [],
): Gate | { readonly problem: Problem; readonly text: string } {
  const conditions = [...more];
  if (condition !== undefined && condition.trim() !== "") {
    const parsed = parseExpression(condition);
    if (!parsed.ok) return { problem: parsed.problem, text: condition };
    conditions.push({ text: condition, expression: parsed.parsed.expression });
  }
  const counts = hitTest(hitCondition);
  if (counts !== undefined && typeof counts !== "function")
    return { problem: counts, text: hitCondition ?? "" };
  const message = logMessage === "" ? undefined : logMessage;
  const wrongMessage = message === undefined ? undefined : messageProblem(message);
  if (wrongMessage) return { problem: wrongMessage, text: message ?? "" };
  return new Gate(conditions, counts, message);
}

const COMPARE: Readonly<Record<string, (hits: number, wanted: number) => boolean>> = {
  "": (hits, wanted) => hits === wanted,
  "==": (hits, wanted) => hits === wanted,
  "=": (hits, wanted) => hits === wanted,
  ">=": (hits, wanted) => hits >= wanted,
  ">": (hits, wanted) => hits > wanted,
  "<": (hits, wanted) => hits < wanted,
  "<=": (hits, wanted) => hits <= wanted,
  "%": (hits, wanted) => hits % wanted === 0,
};

/** `5`: the fifth hit; `>=5`: from the fifth on; `%10`: each tenth. */
function hitTest(text: string | undefined): HitTest | Problem | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const match = /^\s*(==?|>=?|<=?|%|)\s*(\d+)\s*$/.exec(text);
  const wanted = Number(match?.[2]);
  const compare = COMPARE[match?.[1] ?? ""];
  if (!match || !compare || (match[1] === "%" && wanted === 0)) {
    const message = `"${text}" counts nothing: write 5, >=5 or %10`;
    return { message, start: 0, length: Math.max(1, text.length) };
  }
  return (hits) => compare(hits, wanted);
}

/** The pieces of a log message: text as it is, and expressions in braces. `{{` and `}}` are braces. */
function* pieces(
  message: string,
): Iterable<{ readonly text: string; readonly start: number; readonly isExpression: boolean }> {
  const pattern = /\{\{|\}\}|\{([^{}]*)\}/g;
  let from = 0;
  for (const match of message.matchAll(pattern)) {
    yield { text: message.slice(from, match.index), start: from, isExpression: false };
    const braces = match[0] === "{{" || match[0] === "}}";
    yield braces
      ? { text: match[0][0] ?? "", start: match.index, isExpression: false }
      : { text: match[1] ?? "", start: match.index + 1, isExpression: true };
    from = match.index + match[0].length;
  }
  yield { text: message.slice(from), start: from, isExpression: false };
}

function messageProblem(message: string): Problem | undefined {
  for (const { text, start, isExpression } of pieces(message)) {
    const parsed = isExpression ? parseExpression(text) : undefined;
    if (parsed && !parsed.ok) return { ...parsed.problem, start: start + parsed.problem.start };
  }
  return undefined;
}

/** The message with the values of its expressions; one that makes no sense says so in its place. */
function interpolate(message: string, scope: Scope): string {
  let result = "";
  for (const { text, isExpression } of pieces(message)) {
    const value = isExpression ? evaluate(text, scope) : undefined;
    if (!value) result += text;
    else
      result += value.ok
        ? formatValue(value.value, value.format)
        : `{${text}: ${value.problem.message}}`;
  }
  return result;
}
