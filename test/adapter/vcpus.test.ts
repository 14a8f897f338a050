import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { eachWithClient, program } from "./tour";

describe("vCPUs are threads", () => {
  const session = eachWithClient();
  const names = async () => {
    const { threads } =
      await session.client.request<DebugProtocol.ThreadsResponse["body"]>("threads");
    return threads.map(({ id, name }) => `${id}: ${name}`);
  };

  it("named by what they are about", async () => {
    const client = await session.onTour({ vcpus: 2 });
    assert.deepEqual(await names(), [
      "1: vcpu 0 · ring 0 · cr3 0x0",
      "2: vcpu 1 · ring 0 · cr3 0x0 · waiting for SIPI",
    ]);
    await client.runTo("user_main");
    assert.match((await names())[0] ?? "", /^1: vcpu 0 · ring 3 · cr3 0x\w+000$/);
  });

  it("one that was never started has a stack of where it will begin", async () => {
    const client = await session.onTour({ vcpus: 2 });
    const [top] = await client.stack(2);
    assert.equal(top?.instructionPointerReference, "0xfff0");
    const [registers] = await client
      .request<DebugProtocol.ScopesResponse["body"]>("scopes", { frameId: top?.id })
      .then(({ scopes }) => scopes.filter((s) => s.name === "Registers"));
    await client.request("setVariable", {
      variablesReference: registers?.variablesReference,
      name: "rax",
      value: "7",
    });
    assert.equal(client.machine.vcpus[1]?.state.gpr(0), 7n);
    assert.notEqual(client.machine.vcpus[0]?.state.gpr(0), 7n);
  });

  it("a step of one that does not run lets the others run, and can be paused", async () => {
    const client = await session.onTour({ vcpus: 2 });
    await client.filters("pf");
    await client.request("stepIn", { threadId: 2, granularity: "instruction" });
    const fault = await client.stopped();
    assert.equal(fault.reason, "exception");
    assert.equal(fault.threadId, 1);
    await client.filters();
    await client.request("next", { threadId: 2 });
    await client.request("pause", { threadId: 2 });
    assert.equal((await client.stopped()).reason, "pause");
  });

  it("the tour ends with two as with one", async () => {
    const { client } = session;
    await client.launch({ program, vcpus: 2, stopOnEntry: false });
    assert.equal((await client.event("exited")).body.exitCode, 0);
    assert.match(client.output, /all chapters done/);
  });
});
