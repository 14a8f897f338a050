import assert from "node:assert/strict";
import fc from "fast-check";
import {
  BreakpointSet,
  completions,
  evaluate,
  formatValue,
  type Problem,
  parseBreakpoint,
  parseExpression,
} from "../../src/debug";
import { fixture, loaded } from "../debug/fixture";
import { withImage } from "../debug/guest";

const SEED = 20261121;

/** Words that are likely to make something of one another. */
const WORDS = [
  "(",
  ")",
  "[",
  "]",
  ".",
  ",",
  ":",
  "?",
  "+",
  "-",
  "*",
  "/",
  "%",
  "<<",
  ">>",
  "&",
  "|",
  "^",
  "~",
  "!",
  "==",
  "<=",
  "&&",
  "||",
  "0",
  "1",
  "0x7000",
  "0xffffffffffffffff",
  "gpa:0x3000",
  "gva@0x1000:0x400000",
  "hpa:0x1",
  "gva:",
  "$rax",
  "$cr0",
  "&visit",
  "rip",
  "cr3",
  "counter",
  "first",
  "head",
  "walk",
  "gpte",
  "u64",
  "str",
  "gpa",
  "hpa",
  "rmap",
  "slots",
  "roots",
  "why",
  "w",
  "gfn",
  "steps",
  "fault",
  "error",
  '"wu"',
  '"',
  "x",
  "flags",
  "none",
  " ",
  "\u00e9",
  "\ud800",
  "if",
  "level",
  "slot",
  "sp",
  "pf",
  "invlpg",
] as const;

const soup = fc
  .array(fc.constantFrom(...WORDS), { maxLength: 14 })
  .chain((words) => fc.constantFrom("", " ").map((between) => words.join(between)));
const texts = fc.oneof(
  { weight: 4, arbitrary: soup },
  { weight: 1, arbitrary: fc.string({ maxLength: 60, unit: "binary" }) },
);

function inside(text: string, problem: Problem): void {
  assert.ok(problem.message.length > 5, problem.message);
  assert.ok(
    problem.start >= 0 && problem.start <= text.length,
    `${problem.start} in ${JSON.stringify(text)}`,
  );
  assert.ok(problem.length >= 1 && problem.start + problem.length <= text.length + 1);
}

describe("expressions, fuzzed", () => {
  const made = withImage(fixture("sample-v5"), loaded("sample-v5"));
  const { scope } = made;

  it(`any text has a value or a problem with a place in it, and changes nothing (seed ${SEED})`, () => {
    const before = Buffer.from(made.ram);
    fc.assert(
      fc.property(texts, (text) => {
        const result = evaluate(text, scope);
        if (result.ok) assert.equal(typeof formatValue(result.value, result.format), "string");
        else inside(text, result.problem);
      }),
      { seed: SEED, numRuns: 4000 },
    );
    assert.ok(before.equals(Buffer.from(made.ram)));
  });

  it("any text as a breakpoint is read or refused with a place in it", () => {
    const breakpoints = new BreakpointSet();
    breakpoints.attach(made.machine, made.symbols, () => undefined);
    fc.assert(
      fc.property(
        fc.constantFrom("", "pf ", "invlpg ", "spte ", "gpte ", "/re "),
        texts,
        (event, rest) => {
          const text = event + rest;
          const parsed = parseBreakpoint(text);
          if ("problem" in parsed) inside(text, parsed.problem);
          breakpoints.setFunctions([{ id: 1, name: text }]);
          made.trace.emit("exception", { vector: 14, error: 6, cr2: 0x7000n });
          made.trace.emit("spte_drop", {
            sptep: 8,
            old: 1n,
            level: 1,
            gfn: 3,
            sp: 0,
            index: 0,
            reason: "slot",
          });
        },
      ),
      { seed: SEED, numRuns: 3000 },
    );
    breakpoints.dispose();
  });

  it("completion answers at every place of any text", () => {
    fc.assert(
      fc.property(texts, fc.nat(60), (text, column) => {
        for (const item of completions(text, Math.min(column, text.length), scope))
          assert.ok(item.start >= 0);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it("sums of numbers agree with bigint arithmetic modulo 2^64", () => {
    const number = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    const operations = {
      "+": (a: bigint, b: bigint) => a + b,
      "-": (a: bigint, b: bigint) => a - b,
      "*": (a: bigint, b: bigint) => a * b,
      "&": (a: bigint, b: bigint) => a & b,
      "^": (a: bigint, b: bigint) => a ^ b,
    };
    fc.assert(
      fc.property(number, number, fc.constantFrom("+", "-", "*", "&", "^"), (a, b, op) => {
        const result = evaluate(`${a} ${op} 0x${b.toString(16)}`, scope);
        assert.ok(result.ok && result.value.kind === "integer");
        assert.equal(result.value.value, BigInt.asUintN(64, operations[op](a, b)));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it("parsing takes time in proportion to the text", () => {
    const parsed = parseExpression(Array.from({ length: 20_000 }, () => "1").join("+"));
    assert.ok(parsed.ok);
  });
});
