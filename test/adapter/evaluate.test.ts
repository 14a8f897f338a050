import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { eachWithClient } from "./tour";

describe("expressions as a client sees them", () => {
  const session = eachWithClient();

  it("watch, hover, console and clipboard agree on a value", async () => {
    const client = await session.onTour();
    for (const context of ["watch", "hover", "repl", "clipboard", "variables"])
      assert.equal(
        await client.evaluate("gpa:0x3000", context),
        "gpa:0x3000 (slot 0 +0x3000)",
        context,
      );
  });

  it("an error is one line in a watch, has a caret in the console, and is nothing in a hover", async () => {
    const client = await session.onTour();
    const say = async (context: string) =>
      (await client.refused("evaluate", { expression: "spte(0x1000", context })).message;
    assert.match(await say("watch"), /^.+ \(column 12\)$/);
    assert.match(await say("repl"), /^spte\(0x1000\n {11}\^ .+$/);
    assert.equal(await client.evaluate("spte(0x1000", "hover"), "");
    assert.equal(await client.evaluate("no_such_name", "hover"), "");
  });

  it("an unknown name is answered with the nearest", async () => {
    const client = await session.onTour();
    const say = async (expression: string) =>
      (await client.refused("evaluate", { expression, context: "watch" })).message;
    assert.match(await say("kernel_rot"), /kernel_rot.*did you mean kernel_root\?/);
    assert.match(await say("walc(0)"), /walc.*did you mean walk\?/);
    assert.match(await say("$rqx"), /rqx/);
  });

  it("an unmapped address is a value that says where the walk ended", async () => {
    const client = await session.onTour();
    await client.runTo("demand_paging");
    assert.match(
      await client.evaluate("hpa(0x40000000)"),
      /not present at level \d: gpte at gpa:0x\w+ = 0/,
    );
  });

  it("a device's page is not read, and the console says why", async () => {
    const client = await session.onTour();
    const text = await client
      .evaluate("u32(gpa:0xfee00000)", "repl")
      .catch((problem: Error) => problem.message);
    assert.match(text, /gpa:0xfee00000/);
    assert.match(text, /device|memory slot|no memory/);
  });

  it("an address carries a reference to its bytes", async () => {
    const client = await session.onTour();
    for (const [expression, reference] of [
      ["gpa:0x3000", "gpa:0x3000"],
      ["hpa:0x3000", "hpa:0x3000"],
      ["gva@0x1000:0x2000", "gva@0x1000:0x2000"],
    ] as const) {
      const { memoryReference } = await client.evaluated(expression);
      assert.equal(memoryReference, reference);
      assert.equal((await client.read(reference, 0)).address, `0x${reference.split("0x").at(-1)}`);
    }
  });

  it("the parts of a compound expression keep its meaning", async () => {
    const client = await session.onTour();
    const walk = await client.evaluated("1 ? walk($rip) : 0");
    const parts = await client.variables(walk.variablesReference);
    const [part] = parts.filter((p) => p.evaluateName);
    assert.match(part?.evaluateName ?? "", /^\(1 \? walk\(\$rip\) : 0\)\./);
    assert.equal(await client.evaluate(part?.evaluateName ?? ""), part?.value);
  });

  it("names, functions, registers and memslots are completed", async () => {
    const client = await session.onTour();
    const complete = async (text: string): Promise<readonly string[]> => {
      const body = await client.request<DebugProtocol.CompletionsResponse["body"]>("completions", {
        text,
        column: text.length + 1,
      });
      return body.targets.map((t) => t.label);
    };
    assert.ok((await complete("wal")).some((l) => l.startsWith("walk")));
    assert.ok((await complete("$cr")).some((l) => l.includes("cr3")));
    assert.ok((await complete("kernel_")).includes("kernel_root"));
    assert.ok((await complete("gpa(")).length > 0);
    assert.ok((await complete("walk($rip).")).includes("steps"));
  });
});
