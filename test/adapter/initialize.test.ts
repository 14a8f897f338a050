import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { Client } from "./client";
import { eachWithClient, program, sourcePath } from "./tour";

describe("the beginning of a session", () => {
  const session = eachWithClient();

  it("offers exactly what it serves", async () => {
    const { client } = session;
    const offered = await client.request<DebugProtocol.Capabilities>("initialize", {});
    assert.equal(offered.supportsConfigurationDoneRequest, true);
    assert.equal(offered.supportsStepBack, undefined);
    assert.equal(offered.supportsDataBreakpoints, undefined);
    const filters = offered.exceptionBreakpointFilters ?? [];
    assert.deepEqual(
      filters.filter((f) => f.default).map((f) => f.filter),
      ["df", "triple"],
    );
    for (const id of ["pf", "invlpg"]) {
      const filter = filters.find((f) => f.filter === id);
      assert.equal(filter?.supportsCondition, true, id);
      assert.match(filter?.conditionDescription ?? "", /^e\.g\. \S/);
    }
  });

  it("asks for breakpoints once the images are read, after it answered the launch", async () => {
    const { client } = session;
    await client.launch({ program });
    await client.stopped();
    await client.request("threads"); // so that what follows the stop has come too
    assert.deepEqual(client.wire, [
      "response initialize",
      "response launch",
      "event initialized",
      "response configurationDone",
      "event stopped",
      "event penumbra/stopped",
      "response threads",
    ]);
  });

  it("answers a step before it tells where the step ended", async () => {
    const client = await session.onTour();
    client.wire.length = 0;
    await client.step("stepIn");
    assert.deepEqual(client.wire.slice(0, 2), ["response stepIn", "event stopped"]);
  });

  it("begins once, however often it is told that the configuration is done", async () => {
    const client = await session.onTour();
    await client.request("configurationDone");
    await client.request("threads");
    assert.equal(client.wire.filter((m) => m === "event stopped").length, 1);
  });

  it("starts a machine that was configured before it was there", async () => {
    const { client } = session;
    await client.request("initialize");
    await client.request("configurationDone");
    await client.request("launch", { program });
    assert.equal((await client.stopped()).reason, "entry");
  });

  it("runs to the end without a stop on entry", async () => {
    const { client } = session;
    await client.launch({ program, stopOnEntry: false });
    assert.equal((await client.event("exited")).body.exitCode, 0);
    assert.ok(!client.wire.includes("event stopped"));
  });

  it("prints what the init commands say, errors with the place", async () => {
    const client = await session.onTour({ init: ["1 + 2", "slot(gpa:0).id", "$rax +"] });
    assert.match(client.output, /^1 \+ 2\n3\n/m);
    assert.match(client.output, /^slot\(gpa:0\)\.id\n0\n/m);
    assert.match(client.output, /^\$rax \+\n {6}\^ /m);
  });

  it("counts lines and columns from 0 for a client that does", async () => {
    const client = new Client({ linesStartAt1: false, columnsStartAt1: false });
    await client.launch({ program });
    await client.stopped();
    const [placed] = await client.lines(sourcePath("demand-paging.c"), 29);
    assert.equal(placed?.line, 29);
    await client.go();
    assert.match(await client.where(), /^demand-paging\.c:29 /);
    const located = await client.request<DebugProtocol.BreakpointLocationsResponse["body"]>(
      "breakpointLocations",
      { source: { path: sourcePath("demand-paging.c") }, line: 29, endLine: 30 },
    );
    assert.deepEqual(located.breakpoints, [{ line: 29 }, { line: 30 }]);
    client.dispose();
  });

  it("sends memory and invalidated events only to clients that know them", async () => {
    const write = async (said: object): Promise<readonly string[]> => {
      const client = new Client(said);
      await client.launch({ program });
      await client.stopped();
      client.wire.length = 0;
      await client.request("writeMemory", { memoryReference: "gpa:0x2000", data: "AAAA" });
      await client.request("threads");
      client.dispose();
      return client.wire;
    };
    assert.deepEqual(await write({}), [
      "response writeMemory",
      "event penumbra/stopped",
      "response threads",
    ]);
    assert.deepEqual(await write({ supportsMemoryEvent: true, supportsInvalidatedEvent: true }), [
      "response writeMemory",
      "event invalidated",
      "event penumbra/stopped",
      "event memory",
      "response threads",
    ]);
  });
});
