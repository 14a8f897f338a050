import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { eachWithClient } from "./tour";

type StackTrace = DebugProtocol.StackTraceResponse["body"];

describe("stacks, modules and what stopped the guest", () => {
  const session = eachWithClient();

  it("a stack is given in pages that agree with the whole", async () => {
    const client = await session.onTour();
    await client.runTo("map_fresh_page");
    const whole = await client.stack();
    assert.ok(whole.length >= 4, String(whole.length));
    const names: string[] = [];
    for (let startFrame = 0; startFrame < whole.length; startFrame += 2) {
      const page = await client.request<StackTrace>("stackTrace", {
        threadId: 1,
        startFrame,
        levels: 2,
      });
      assert.equal(page.totalFrames, whole.length);
      names.push(...page.stackFrames.map((f) => f.name));
    }
    assert.deepEqual(
      names,
      whole.map((f) => f.name),
    );
    const beyond = await client.request<StackTrace>("stackTrace", {
      threadId: 1,
      startFrame: 99,
      levels: 5,
    });
    assert.deepEqual(beyond.stackFrames, []);
  });

  it("a fault's frames are subtle, and the interrupted code is below them", async () => {
    const client = await session.onTour();
    await client.runTo("map_fresh_page");
    const frames = await client.stack();
    const interrupt = frames.findIndex((f) => f.presentationHint === "subtle");
    assert.match(frames[interrupt]?.name ?? "", /\(interrupt\)$/);
    assert.equal(frames[interrupt + 1]?.name, "demand_paging");
    assert.equal(frames[interrupt + 1]?.line, 30);
  });

  it("a stack that leads to unmapped memory ends in a label that says so", async () => {
    const client = await session.onTour();
    await client.runTo("demand_paging");
    const [registers] = await client
      .scopes()
      .then((all) => all.filter((s) => s.name === "Registers"));
    for (const [name, value] of [
      ["rsp", "0x50000000"],
      ["rbp", "0x50000000"],
    ])
      await client.request("setVariable", {
        variablesReference: registers?.variablesReference,
        name,
        value,
      });
    const label = (await client.stack()).at(-1);
    assert.equal(label?.presentationHint, "label");
    assert.match(label?.name ?? "", /^gva 0x50000\w+ .*not present at level \d/);
    const { scopes } = await client.request<{ scopes: unknown[] }>("scopes", {
      frameId: label?.id,
    });
    assert.deepEqual(scopes, []);
    assert.equal(
      await client.request("evaluate", { expression: "1", frameId: label?.id }).then(() => true),
      true,
    );
  });

  it("calls that were inlined are frames of their own", async () => {
    const client = await session.onTour();
    await client.filters("invlpg");
    await client.go();
    const frames = await client.stack();
    assert.ok(
      frames.every((f) => f.line > 0 && f.source?.path),
      JSON.stringify(frames[0]),
    );
    assert.equal(new Set(frames.map((f) => f.id)).size, frames.length);
  });

  it("a page fault is explained: its name, the sentence, its fields", async () => {
    const client = await session.onTour();
    await client.filters("pf");
    await client.go();
    const info = await client.request<DebugProtocol.ExceptionInfoResponse["body"]>(
      "exceptionInfo",
      { threadId: 1 },
    );
    assert.equal(info.exceptionId, "#PF page fault");
    assert.match(info.description ?? "", /^Page fault: supervisor write to gva 0x40000000/);
    assert.match(info.details?.stackTrace ?? "", /^cr2 = 0x40000000$/m);
    const last = await client.scope("Last event");
    assert.equal(last.find((v) => v.name === "cr2")?.value, "0x40000000");
  });

  it("a stop that was no event has nothing to explain", async () => {
    const client = await session.onTour();
    const refusal = await client.refused("exceptionInfo", { threadId: 1 });
    assert.match(refusal.message, /^The last stop was not an event/);
    assert.ok(!(await client.scopes()).some((s) => s.name === "Last event"));
  });

  it("the images and their sources are listed", async () => {
    const client = await session.onTour();
    const { modules, totalModules } =
      await client.request<DebugProtocol.ModulesResponse["body"]>("modules");
    assert.equal(totalModules, 1);
    assert.equal(modules[0]?.name, "paging-tour.elf");
    assert.equal(modules[0]?.symbolStatus, "read");
    const none = await client.request<DebugProtocol.ModulesResponse["body"]>("modules", {
      startModule: 1,
    });
    assert.deepEqual(none.modules, []);
    const { sources } = await client.request<{ sources: DebugProtocol.Source[] }>("loadedSources");
    assert.ok(sources.some((s) => s.name === "demand-paging.c" && s.path?.startsWith("/")));
  });

  it("there is no text but in files", async () => {
    const client = await session.onTour();
    const refusal = await client.refused("source", { sourceReference: 3 });
    assert.match(refusal.message, /^Penumbra has no text for that source; open the file/);
  });
});
