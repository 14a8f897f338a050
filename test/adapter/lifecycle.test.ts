import assert from "node:assert/strict";
import { Client } from "./client";
import { eachWithClient, program, sourcePath } from "./tour";

describe("the life of a session", () => {
  const session = eachWithClient();

  it("restart begins the same run again, with its breakpoints", async () => {
    const client = await session.onTour();
    await client.lines(sourcePath("demand-paging.c"), 31);
    await client.filters("pf");
    const run = async (): Promise<readonly (string | number)[]> => {
      const first = await client.go();
      const at = client.machine.tick;
      const second = await client.go();
      return [first.description ?? "", at, second.description ?? "", client.machine.tick];
    };
    const once = await run();
    await client.request("restart");
    const entry = await client.stopped();
    assert.equal(entry.reason, "entry");
    assert.equal(client.machine.tick, 0);
    assert.deepEqual(await run(), once);
  });

  it("restart amid a run, and after the end, begins again too", async () => {
    const client = await session.onTour();
    await client.request("continue", { threadId: 1 });
    await client.request("restart");
    assert.equal((await client.stopped()).reason, "entry");
    await client.request("continue", { threadId: 1 });
    await client.event("terminated");
    await client.request("restart");
    assert.equal((await client.stopped()).reason, "entry");
    await client.request("continue", { threadId: 1 });
    await client.event("terminated");
    assert.equal(client.output.match(/all chapters done/g)?.length, 2);
  });

  it("terminate is told once, however often it is asked for", async () => {
    const client = await session.onTour();
    await client.request("continue", { threadId: 1 });
    await client.request("terminate");
    await client.request("terminate");
    await client.request("disconnect");
    await client.request("disconnect");
    assert.equal(client.wire.filter((m) => m === "event terminated").length, 1);
    const refusal = await client.refused("continue", { threadId: 1 });
    assert.equal(refusal.message, '"continue" needs a machine: launch one first.');
  });

  it("nothing is heard of a guest that runs on when its client has gone", async () => {
    const client = await session.onTour();
    await client.request("continue", { threadId: 1 });
    await client.request("disconnect");
    const { length } = client.wire;
    const other = new Client();
    await other.launch({ program, stopOnEntry: false });
    await other.event("terminated");
    other.dispose();
    assert.equal(client.wire.length, length);
  });

  it("a machine that is ready too late is let go of", async () => {
    const { client } = session;
    await client.request("initialize");
    const launching = client.refused("launch", { program });
    await client.request("disconnect");
    assert.match((await launching).message, /^The session ended before the machine was ready\./);
  });

  it("requests need a machine, and one that is known", async () => {
    const { client } = session;
    await client.request("initialize");
    assert.equal(
      (await client.refused("stackTrace")).message,
      '"stackTrace" needs a machine: launch one first.',
    );
    for (const command of ["stepBack", "frobnicate", "constructor", "__proto__", "toString"]) {
      const refusal = await client.refused(command);
      assert.equal(refusal.message, `Penumbra does not know the request "${command}".`);
      assert.equal(refusal.id, 1000);
    }
  });

  it("a bug inside a handler is a refusal without a stack trace, and the session goes on", async () => {
    const client = await session.onTour();
    const refusal = await client.refused("setBreakpoints", {}); // no source: not what the protocol says
    assert.equal(refusal.id, 1004);
    assert.match(refusal.message, /^A bug in Penumbra while serving "setBreakpoints": /);
    assert.ok(!/\n|\bat .*:\d+/.test(refusal.message), refusal.message);
    assert.match(await client.where(), /_start$/);
  });

  it("a bug inside the machine stops the guest, and the session goes on", async () => {
    const client = await session.onTour();
    const { machine } = client;
    const { run } = machine;
    machine.run = () => {
      throw new Error("a wheel came off");
    };
    const stop = await client.go();
    assert.equal(stop.description, "Stopped by a bug in Penumbra");
    assert.match(client.output, /a wheel came off/);
    machine.run = run;
    await client.runTo("demand_paging");
    assert.match(await client.where(), / demand_paging$/);
  });

  it("the guest's end is its status and what it printed", async () => {
    const { client } = session;
    await client.launch({ program, stopOnEntry: false });
    assert.equal((await client.event("exited")).body.exitCode, 0);
    assert.match(client.output, /The guest ended with status 0\.\n$/);
    assert.deepEqual(client.wire.slice(-2), ["event exited", "event terminated"]);
  });
});
