import assert from "node:assert/strict";
import { evaluate, formatValue, type Scope, Symbols, underline } from "../../../src/debug";
import { fixture, loaded } from "../fixture";
import { guest, withImage } from "../guest";

function shown(text: string, scope: Scope): string {
  const result = evaluate(text, scope);
  assert.ok(result.ok, result.ok ? "" : underline(text, result.problem));
  return formatValue(result.value, result.format);
}

function refused(text: string, scope: Scope): string {
  const result = evaluate(text, scope);
  assert.ok(!result.ok, result.ok ? formatValue(result.value) : "");
  return underline(text, result.problem).slice(text.length + 1);
}

describe("expressions", () => {
  const { scope } = guest().map(0x7000, 0x3000, "wu");
  const values: readonly (readonly [string, string])[] = [
    ["1 + 2", "3"],
    ["0x10 + 1", "0x11"],
    ["0 - 1", "18446744073709551615"],
    ["-1", "-1"],
    ["-1 < 0", "true"],
    ["-7 / 2", "-3"],
    ["0x3 - 5", "0xfffffffffffffffe"],
    ["1 << 64", "0"],
    ["255,x", "0xff"],
    ["0xffffffffffffffff,d", "-1"],
    ["5,b", "0b101"],
    ["gva:0x7000 + 0x10", "gva:0x7010"],
    ["gva:0x7010 - gva:0x7000", "0x10"],
    ["gva:0x7abc & ~0xfff", "gva:0x7000"],
    ["gva:0x7abc >> 12", "0x7"],
    ["gva:0x7000 == 0x7000", "true"],
    ['"a" == "a"', "true"],
    ["none == none", "true"],
    ["1 ? 2 : nonsense", "2"],
    ["0 && nonsense", "false"],
    ["cr3", "0x1000"],
    ["$cr0.wp", "true"],
    ["$cr0", "0x80010001 PE WP PG"],
    ["$cr0,flags", "PE WP PG"],
    ["tick", "81233"],
  ];
  for (const [text, value] of values)
    it(`${text} is ${value}`, () => {
      assert.equal(shown(text, scope), value);
    });

  it("names the converter when address spaces are mixed", () => {
    assert.match(
      refused("gva:0x7000 - gpa:0x3000", scope),
      /a gva and a gpa do not mix: convert one with gva\(…\)/,
    );
    assert.match(refused("gva:0x7000 == hpa:0x3000", scope), /do not mix/);
    assert.match(refused("gva:1 + gva:2", scope), /between two addresses means nothing/);
  });

  it("names the nearest known name, register, function and field, with the caret under it", () => {
    assert.equal(refused("1 + rxa", scope), "    ^^^ there is no rxa here; did you mean rax?");
    assert.equal(refused("$rxa", scope), "^^^^ there is no register $rxa; did you mean $rax?");
    assert.equal(refused("wakl(1)", scope), "^^^^ there is no function wakl; did you mean walk?");
    assert.equal(refused("$cr0.pw", scope), "     ^^ there is no field pw; did you mean wp?");
    assert.match(refused("walk", scope), /walk is a function: walk\(gva/);
    assert.match(refused("walk()", scope), /is called with 0 values/);
  });

  it("says of history functions when they come", () => {
    assert.match(refused("why(1)", scope), /comes with the recording/);
  });

  it("reads memory in each space, and a fault is a value that says what is wrong", () => {
    const made = guest().map(0x7000, 0x3000, "wu").u64(0x3008, 0x1122334455667788n);
    const { scope: here } = made;
    assert.equal(shown("u64(gva:0x7008)", here), "0x1122334455667788");
    assert.equal(shown("u8(gpa:0x3008)", here), "0x88");
    assert.equal(shown("*gpa:0x3008", here), "0x1122334455667788");
    assert.equal(shown("u32(0x7008) + 1", here), "0x55667789");
    const missing = "not present at level 1: gpte at gpa:0x4040 = 0";
    assert.equal(shown("u64(0x8000)", here), missing);
    assert.equal(shown("u64(0x8000) + 1", here), missing);
    assert.equal(shown("u64(0x8000) == 5", here), "false");
    assert.match(shown("u64(gpa:0x7fff_ffff)", here), /no memory at gpa:0x7fffffff/);
  });

  it("walks without leaving a trace in the tables", () => {
    const made = guest().map(0x7000, 0x3000, "wu");
    const before = Buffer.from(made.ram).toString("base64");
    assert.equal(shown("walk(0x7123)", made.scope), "gva:0x7123 → gpa:0x3123, level 1");
    assert.equal(shown('walk(0x7123, "wu").gpa', made.scope), "gpa:0x3123");
    assert.equal(shown("walk(0x7123).steps[3].entry.w", made.scope), "true");
    assert.equal(shown("walk(0x7123).steps.length", made.scope), "4");
    assert.equal(Buffer.from(made.ram).toString("base64"), before);
  });

  it("a walk that faults has the error code by name", () => {
    const { scope: here } = guest().map(0x7000, 0x3000, "");
    assert.match(
      shown('walk(0x7000, "wu")', here),
      /^user write not allowed at level 1: gpte at gpa:0x4038 = 0x3001$/,
    );
    assert.equal(shown('walk(0x7000, "wu").fault.error', here), "0x7 P W U");
    assert.equal(shown('walk(0x7000, "wu").fault.error.w', here), "true");
    assert.match(refused('walk(0x7000, "wz")', here), /"z" is none of them/);
  });

  it("shows a gpte with its bits, of a given level too", () => {
    const { scope: here } = guest().map(0x7000, 0x3000, "wu").mapLarge(0x200000, 0x200000);
    assert.equal(shown("gpte(0x7000)", here), "0x3007 → pfn 0x3, P W U");
    assert.equal(shown("gpte(0x7000).addr", here), "gpa:0x4038");
    assert.equal(shown("gpte(0x7000, 2).level", here), "2");
    assert.equal(shown("gpte(0x200000).large", here), "true");
    assert.match(shown("gpte(0x200000, 1)", here), /the walk ends at level 2 with a large page/);
    assert.match(refused("gpte(0x7000, 7)", here), /there is no level 7: the tables have 4/);
    assert.match(refused("gpte(gpa:0x7000)", here), /it needs a gva, not a gpa/);
  });

  it("an event's fields come before all other names", () => {
    const { scope: base } = guest();
    const here: Scope = { ...base, fields: { error: 6, cr2: 0x7000n, reason: "sync", gfn: 3 } };
    assert.equal(shown("error.w && error.u && !error.p", here), "true");
    assert.equal(shown("cr2 >= 0x7000 && cr2 < 0x8000", here), "true");
    assert.equal(shown('reason == "sync"', here), "true");
    assert.equal(shown("gfn", here), "gfn:0x3");
  });
});

describe("C variables", () => {
  for (const version of ["sample-v4", "sample-v5"] as const) {
    const made = withImage(fixture(version), loaded(version));
    const { scope } = made;

    it(`${version}: globals have their types: numbers, enumerators, bit fields, arrays`, () => {
      assert.equal(shown("counter", scope), "-3");
      assert.equal(shown("counter < 0", scope), "true");
      assert.equal(shown("first.gfn", scope), "0x3000");
      assert.equal(shown("first.heat", scope), "5 WARM");
      assert.equal(shown("first.dirty", scope), "1");
      assert.equal(shown("first.level", scope), "2");
      assert.equal(shown("first.bytes[1][2]", scope), "7");
      assert.equal(shown("first", scope), "struct page");
    });

    it(`${version}: pointers lead to what they point to`, () => {
      assert.equal(shown("head == &first", scope), "true");
      assert.equal(shown("head.gfn", scope), "0x3000");
      assert.equal(shown("(*head).heat", scope), "5 WARM");
      assert.equal(shown("head[0].gfn", scope), "0x3000");
      assert.equal(shown("(head + 1) - head", scope), "0x20");
      assert.match(shown("head.next.gfn", scope), /not present at level 2/);
    });
  }

  it("without symbols a name is unknown in one sentence", () => {
    const { scope } = guest();
    assert.match(
      refused("counter", { ...scope, symbols: new Symbols() }),
      /there is no counter here/,
    );
  });
});
