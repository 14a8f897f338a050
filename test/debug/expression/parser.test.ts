import assert from "node:assert/strict";
import { type Expression, parseExpression, underline } from "../../../src/debug";

/** The tree as text, with parentheses around everything that joins. */
function shape(e: Expression): string {
  switch (e.kind) {
    case "number":
      return String(e.value);
    case "string":
      return JSON.stringify(e.value);
    case "address":
      return `${e.space}${e.root === undefined ? "" : `@${e.root}`}:${e.value}`;
    case "name":
      return e.name;
    case "register":
      return `$${e.name}`;
    case "symbol":
      return `&${e.name}`;
    case "unary":
      return `(${e.operator}${shape(e.operand)})`;
    case "binary":
      return `(${shape(e.left)} ${e.operator} ${shape(e.right)})`;
    case "choice":
      return `(${shape(e.condition)} ? ${shape(e.yes)} : ${shape(e.no)})`;
    case "member":
      return `${shape(e.of)}.${e.name}`;
    case "index":
      return `${shape(e.of)}[${shape(e.index)}]`;
    case "slice":
      return `${shape(e.of)}[${shape(e.from)}:${shape(e.to)}]`;
    case "call":
      return `${e.name}(${e.arguments.map(shape).join(", ")})`;
  }
}

function parsed(text: string): string {
  const result = parseExpression(text);
  assert.ok(result.ok, result.ok ? "" : underline(text, result.problem));
  return shape(result.parsed.expression);
}

function problem(text: string): string {
  const result = parseExpression(text);
  assert.ok(!result.ok, "it parsed");
  return underline(text, result.problem);
}

describe("the parser of expressions", () => {
  const trees: readonly (readonly [string, string])[] = [
    ["1 + 2 * 3", "(1 + (2 * 3))"],
    ["1 - 2 - 3", "((1 - 2) - 3)"],
    ["a & 1 == 1", "((a & 1) == 1)"],
    ["1 << 2 + 3", "(1 << (2 + 3))"],
    ["a || b && c", "(a || (b && c))"],
    ["a ? b : c ? d : e", "(a ? b : (c ? d : e))"],
    ["!error.w && ~x", "((!error.w) && (~x))"],
    ["-*p", "(-(*p))"],
    ["walk(gva:0x7000).steps[2].entry", "walk(gva:28672).steps[2].entry"],
    ["spte(0x3000, 2).w", "spte(12288, 2).w"],
    ["gva@0x1000:0x400000", "gva@4096:4194304"],
    ["a[1:3]", "a[1:3]"],
    ["&counter & 7", "(&counter & 7)"],
    ["a &b", "(a & b)"],
    ['reason == "memslot"', '(reason == "memslot")'],
    ["0b101 + 0o17 + 1_000", "((5 + 15) + 1000)"],
    ["$rax+8", "($rax + 8)"],
    ["roots()", "roots()"],
    ["a ? gpa:0x1 : 2", "(a ? gpa:1 : 2)"],
  ];
  for (const [text, tree] of trees)
    it(`reads ${text}`, () => {
      assert.equal(parsed(text), tree);
    });

  it("takes a format behind a comma", () => {
    const result = parseExpression("u64(rsp),d");
    assert.ok(result.ok);
    assert.equal(result.parsed.format, "d");
  });

  const problems: readonly (readonly [string, string])[] = [
    ["1 +", "1 +\n   ^ a value is missing at the end"],
    ["", "\n^ the expression is empty"],
    [
      "gpa:0x30g0",
      'gpa:0x30g0\n^^^^^^^^^^ "gpa:0x30g0" is no address: digits come after the colon',
    ],
    ["(1 + 2", "(1 + 2\n      ^ the ')' of this group is missing"],
    ["1 < 2 < 3", "1 < 2 < 3\n      ^ comparisons do not chain: join them with &&"],
    ["u64(0x10 0x20)", "u64(0x10 0x20)\n         ^^^^ the ')' of u64( is missing before \"0x20\""],
    ["a.5", "a.5\n  ^ after the dot comes the name of a field"],
    ["a, q", "a, q\n   ^ after the comma comes a format, one of x d b o h flags raw"],
    [
      "a, flag",
      "a, flag\n   ^^^^ after the comma comes a format, one of x d b o h flags raw; did you mean flags?",
    ],
    ["1 2", '1 2\n  ^ the expression ends before "2": an operator is missing here'],
    ['"abc', '"abc\n^^^^ this string has no end'],
    [
      "0x10000000000000000",
      "0x10000000000000000\n^^^^^^^^^^^^^^^^^^^ this number needs more than 64 bits",
    ],
    [
      "gpa@0x1:0x2",
      "gpa@0x1:0x2\n^^^^^^^^^^^ only gva takes @ and the address of a root, as in gva@0x1000:0x400000",
    ],
    ["1(2)", "1(2)\n ^ only a function can be called: write an operator before this '('"],
  ];
  for (const [text, message] of problems)
    it(`puts the caret under the place: ${text || "nothing"}`, () => {
      assert.equal(problem(text), message);
    });

  it("refuses nesting that would exhaust the stack", () => {
    assert.match(problem("(".repeat(5000)), /nested more than 200 deep/);
    assert.match(problem("-".repeat(5000)), /nested more than 200 deep/);
  });
});
