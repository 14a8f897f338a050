import assert from "node:assert/strict";
import { evaluate, formatValue, localsOf, stackTrace } from "../../../src/debug";
import { GPR } from "../../../src/x86";
import { fixture, loaded } from "../fixture";
import { type Guest, withImage } from "../guest";

const STACK = 0x7ff000;

/** A guest stopped at `rip` with these words on its stack. */
function stoppedAt(
  version: "sample-v4" | "sample-v5",
  rip: bigint,
  words: readonly bigint[],
): Guest {
  const made = withImage(fixture(version), loaded(version)).map(STACK, 0x60000, "w");
  words.forEach((word, i) => {
    made.u64(0x60000 + 8 * i, word);
  });
  made.state.rip = rip;
  made.state.setGpr(GPR.rsp, BigInt(STACK));
  return made;
}

const names = (made: Guest): string[] =>
  stackTrace(made.machine, 0, made.symbols).frames.map((f) => made.symbols.describe(f.at) ?? "?");

describe("stack traces", () => {
  it("follow call frame information, without a frame pointer", () => {
    // In outer, behind its call of visit; then _start, behind its call of outer.
    const outer = loaded("sample-v5").functionNamed("outer");
    assert.ok(outer);
    const made = stoppedAt("sample-v5", 0x400020n, [outer.low + 0x11n, 0x40000cn]);
    assert.deepEqual(
      names(made).map((n) => n.split("+")[0]),
      ["visit", "outer", "_start"],
    );
  });

  it("cross an interrupt frame: the interrupted instruction is not behind a call", () => {
    const visit = 0x400020n;
    const made = stoppedAt("sample-v5", 0x40000fn, [visit, 8n, 0x202n, 0x7ff800n, 0x10n]);
    made.map(0x7ff000, 0x60000, "w");
    made.u64(0x60800, 0x40000cn);
    const trace = stackTrace(made.machine, 0, made.symbols);
    assert.equal(trace.frames[0]?.kind, "interrupt");
    assert.equal(trace.frames[1]?.pc, visit);
    assert.equal(trace.frames[1]?.at, visit);
    assert.equal(made.symbols.describe(trace.frames[2]?.at ?? 0n), "_start+0xb");
  });

  it("end with the level at which the stack is not mapped", () => {
    const made = stoppedAt("sample-v5", 0x400020n, []);
    made.state.setGpr(GPR.rsp, 0x900000n);
    const trace = stackTrace(made.machine, 0, made.symbols);
    assert.equal(trace.frames.length, 1);
    assert.equal(trace.end, "gva 0x900000 not present at level 2");
  });

  it("follow frame pointers where nothing is described", () => {
    const made = stoppedAt("sample-v4", 0x500000n, [0x7ff010n, 0x500100n, 0n, 0x500200n]);
    made.state.setGpr(GPR.rbp, BigInt(STACK));
    const trace = stackTrace(made.machine, 0, made.symbols);
    assert.deepEqual(
      trace.frames.map((f) => f.pc),
      [0x500000n, 0x500100n, 0x500200n],
    );
  });

  it("a stack that leads in circles ends", () => {
    const made = stoppedAt("sample-v4", 0x500000n, [BigInt(STACK), 0x500100n]);
    made.state.setGpr(GPR.rbp, BigInt(STACK));
    assert.ok(stackTrace(made.machine, 0, made.symbols).frames.length <= 3);
  });
});

describe("locals", () => {
  it("are read through the frame base, also in a caller's frame", () => {
    const symbols = loaded("sample-v4");
    const visit = symbols.functionNamed("visit");
    assert.ok(visit);
    const stop = symbols.addressesFor("test/debug/fixtures/sample.c", 30)[0];
    assert.ok(stop);
    // At -O0 behind the prologue: rbp is the frame, cfa = rbp + 16.
    const made = stoppedAt("sample-v4", stop, new Array(64).fill(0n));
    made.state.setGpr(GPR.rbp, BigInt(STACK + 0x100));
    const scope = { ...made.scope, frame: stackTrace(made.machine, 0, made.symbols).frames[0]! };
    assert.deepEqual(
      localsOf(scope).map((v) => [v.name, v.kind, v.type]),
      [
        ["page", "parameter", "struct page *"],
        ["depth", "parameter", "int"],
        ["sum", "local", "u64"],
      ],
    );
    const depth = evaluate("depth", scope);
    assert.ok(depth.ok && depth.value.place);
    made.u64(0x60000 + Number(depth.value.place.value) - STACK, 0xffff_ffffn);
    const again = evaluate("depth", scope);
    assert.ok(again.ok);
    assert.equal(formatValue(again.value), "-1");
    // A condition has no frame of its own: it means the innermost.
    const condition = evaluate("depth == -1", made.scope);
    assert.ok(condition.ok);
    assert.equal(formatValue(condition.value), "true");
  });

  it("say so when the compiler kept them nowhere", () => {
    const made = stoppedAt("sample-v5", 0x40005an, [0x40000cn]);
    const scope = { ...made.scope, frame: stackTrace(made.machine, 0, made.symbols).frames[0]! };
    const page = localsOf(scope)
      .find((v) => v.name === "page")
      ?.value();
    assert.ok(page);
    assert.match(formatValue(page), /^none \(.+\)$|^gva:/);
    assert.ok(localsOf(scope).some((v) => v.name === "sum"));
  });
});
