import { nearest } from "../nearest";
import type { Problem } from "./problem";
import { type Expression, FORMATS, type Format, type Parsed } from "./syntax";
import { nextToken, type Token } from "./token";

export type ParseResult =
  | { readonly ok: true; readonly parsed: Parsed }
  | { readonly ok: false; readonly problem: Problem };

/**
 * Parses `expr [',' format]`. The grammar, loosest first; comparisons do not chain:
 *
 *     expr := or ['?' expr ':' expr]        or  := and {'||' and}      and  := cmp {'&&' cmp}
 *     cmp  := bits [compare bits]           bits := shift {('&'|'|'|'^') shift}
 *     shift := sum {('<<'|'>>') sum}        sum := term {('+'|'-') term}
 *     term := unary {('*'|'/'|'%') unary}   unary := ('!'|'~'|'-'|'*') unary | post
 *     post := prim {'.' name | '[' expr [':' expr] ']' | '(' args ')'}
 */
export function parseExpression(text: string): ParseResult {
  const parser = new Parser(text);
  const expression = parser.expression();
  const format = parser.format();
  parser.finish();
  const { problem } = parser;
  if (problem) return { ok: false, problem };
  return { ok: true, parsed: format ? { expression, format } : { expression } };
}

/**
 * Parses one expression at the start of `text` and says where it ended: for breakpoints, where more
 * words follow. `start` is where in `text` to begin.
 */
export function parsePrefix(
  text: string,
  start: number,
  level: "expression" | "unary",
): { readonly expression: Expression; readonly end: number } | { readonly problem: Problem } {
  const parser = new Parser(text, start);
  const expression = level === "unary" ? parser.unary() : parser.expression();
  return parser.problem ? { problem: parser.problem } : { expression, end: expression.end };
}

/** Binary operators by level, loosest first; level 2 does not chain. */
const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["==", "!=", "<", "<=", ">", ">="],
  ["&", "|", "^"],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "%"],
];
const COMPARE = 2;
const UNARY = ["!", "~", "-", "*"];
/** Nesting allowed: deeper text is not typed by people, and the parser recurses. */
const DEPTH = 200;

const NOTHING: Expression = { kind: "number", value: 0n, shown: "d", start: 0, end: 0 };

/** After the first problem every method answers `NOTHING` and reads no further. */
class Parser {
  problem: Problem | undefined;
  private token: Token;
  private depth = 0;

  constructor(
    private readonly text: string,
    start = 0,
  ) {
    this.token = this.read(start, false);
  }

  expression(): Expression {
    return this.nested(() => {
      const condition = this.binary(0);
      if (!this.accept("?")) return condition;
      const yes = this.expression();
      this.expect(":", "the ':' of this choice");
      const no = this.expression();
      return { kind: "choice", condition, yes, no, start: condition.start, end: no.end };
    });
  }

  /** `,x` behind the expression. */
  format(): Format | undefined {
    if (!this.accept(",")) return undefined;
    const { token } = this;
    const name = token.kind === "name" ? token.name : "";
    const format = FORMATS.find((f) => f === name);
    if (format) {
      this.advance(true);
      return format;
    }
    const near = nearest(name, FORMATS);
    this.fail(
      token,
      `after the comma comes a format, one of ${FORMATS.join(" ")}${near ? `; did you mean ${near}?` : ""}`,
    );
    return undefined;
  }

  finish(): void {
    const { token } = this;
    if (token.kind === "end" || this.problem) return;
    this.fail(
      token,
      `the expression ends before ${this.quote(token)}: an operator is missing here`,
    );
  }

  private binary(level: number): Expression {
    const operators = LEVELS[level];
    if (!operators) return this.unary();
    let left = this.binary(level + 1);
    for (let count = 0; ; count++) {
      const { token } = this;
      if (token.kind !== "operator" || !operators.includes(token.text) || this.problem) return left;
      if (level === COMPARE && count > 0) {
        this.fail(token, `comparisons do not chain: join them with &&`);
        return left;
      }
      this.advance(false);
      const right = this.binary(level + 1);
      left = {
        kind: "binary",
        operator: token.text,
        left,
        right,
        start: left.start,
        end: right.end,
      };
    }
  }

  unary(): Expression {
    const { token } = this;
    if (token.kind !== "operator" || !UNARY.includes(token.text)) return this.postfix();
    return this.nested(() => {
      this.advance(false);
      const operand = this.unary();
      return { kind: "unary", operator: token.text, operand, start: token.start, end: operand.end };
    });
  }

  private postfix(): Expression {
    let of = this.primary();
    for (;;) {
      if (this.accept(".")) of = this.member(of);
      else if (this.accept("[")) of = this.indexed(of);
      else if (this.is("(")) of = this.call(of);
      else return of;
      if (this.problem) return of;
    }
  }

  private member(of: Expression): Expression {
    const { token } = this;
    if (token.kind !== "name") {
      this.fail(token, "after the dot comes the name of a field");
      return of;
    }
    this.advance(true);
    return { kind: "member", of, name: token.name, start: of.start, end: token.end };
  }

  private indexed(of: Expression): Expression {
    const index = this.expression();
    const to = this.accept(":") ? this.expression() : undefined;
    const end = this.expect("]", "the ']' of this index");
    return to
      ? { kind: "slice", of, from: index, to, start: of.start, end }
      : { kind: "index", of, index, start: of.start, end };
  }

  private call(of: Expression): Expression {
    if (of.kind !== "name") {
      this.fail(this.token, "only a function can be called: write an operator before this '('");
      return of;
    }
    this.advance(false);
    const list: Expression[] = [];
    if (!this.is(")")) {
      do list.push(this.expression());
      while (this.accept(","));
    }
    const end = this.expect(")", `the ')' of ${of.name}(`);
    return { kind: "call", name: of.name, arguments: list, start: of.start, end };
  }

  private primary(): Expression {
    const { token } = this;
    switch (token.kind) {
      case "number":
      case "string":
      case "address":
      case "name":
      case "register":
      case "symbol":
        this.advance(true);
        return token;
      case "operator":
        if (this.accept("(")) {
          const inner = this.expression();
          const end = this.expect(")", "the ')' of this group");
          return { ...inner, start: token.start, end };
        }
        this.fail(token, `a value is missing before "${token.text}"`);
        return NOTHING;
      case "bad":
        this.fail(token, token.message);
        return NOTHING;
      case "end":
        this.fail(
          token,
          this.text.trim() === "" ? "the expression is empty" : "a value is missing at the end",
        );
        return NOTHING;
    }
  }

  private nested(parse: () => Expression): Expression {
    if (this.problem) return NOTHING;
    if (this.depth >= DEPTH) {
      this.fail(this.token, `the expression is nested more than ${DEPTH} deep`);
      return NOTHING;
    }
    this.depth++;
    const result = parse();
    this.depth--;
    return result;
  }

  private is(operator: string): boolean {
    return !this.problem && this.token.kind === "operator" && this.token.text === operator;
  }

  private accept(operator: string): boolean {
    if (!this.is(operator)) return false;
    this.advance(operator === ")" || operator === "]");
    return true;
  }

  /** The end of the operator asked for; `what` names what is missing without it. */
  private expect(operator: string, what: string): number {
    const { token } = this;
    if (this.accept(operator)) return token.end;
    if (token.kind === "bad") this.fail(token, token.message);
    else
      this.fail(
        token,
        `${what} is missing${token.kind === "end" ? "" : ` before ${this.quote(token)}`}`,
      );
    return token.start;
  }

  private advance(afterValue: boolean): void {
    if (!this.problem) this.token = this.read(this.token.end, afterValue);
  }

  private read(from: number, afterValue: boolean): Token {
    return nextToken(this.text, from, afterValue);
  }

  private quote(token: Token): string {
    return `"${this.text.slice(token.start, token.end)}"`;
  }

  private fail(token: Token, message: string): void {
    this.problem ??= { message, start: token.start, length: Math.max(1, token.end - token.start) };
  }
}
