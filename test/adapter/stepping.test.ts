import assert from "node:assert/strict";
import { eachWithClient, sourcePath } from "./tour";

const DEMAND = sourcePath("demand-paging.c");

describe("stepping as a client sees it", () => {
  const session = eachWithClient();

  /** At a line of demand-paging.c, without breakpoints. */
  async function atLine(line: number) {
    const client = await session.onTour();
    await client.lines(DEMAND, line);
    await client.go();
    await client.lines(DEMAND);
    return client;
  }

  for (const granularity of ["statement", "line"])
    it(`${granularity}: next passes over a page fault, stepIn shows its handler`, async () => {
      const client = await atLine(30);
      const stop = await client.step("next", granularity);
      assert.equal(stop.reason, "step");
      assert.match(await client.where(), /^demand-paging\.c:31 /);
      await client.step("next", granularity);
      assert.match(await client.where(), /^demand-paging\.c:33 /);
      await client.step("stepIn", granularity);
      assert.match(await client.where(), /^traps\.S:/);
      const [handler, interrupted] = await client.stack();
      assert.equal(handler?.presentationHint, "subtle");
      assert.match(handler?.name ?? "", /\(interrupt\)$/);
      assert.match(interrupted?.name ?? "", /^demand_paging/);
    });

  it("stepOut of the fault's handler ends in the code that faulted", async () => {
    const client = await atLine(20);
    assert.match(await client.where(), / map_fresh_page$/);
    for (let n = 0; n < 6 && !(await client.where()).includes(" demand_paging"); n++)
      await client.step("stepOut");
    assert.match(await client.where(), /^demand-paging\.c:30 demand_paging$/);
  });

  it("with the filter for faults on, next goes on behind the fault it stopped at", async () => {
    const client = await session.onTour();
    await client.filters("pf");
    await client.go();
    assert.match(await client.where(), /^demand-paging\.c:30 /);
    const stop = await client.step("next");
    assert.equal(stop.reason, "step", stop.description);
    assert.match(await client.where(), /^demand-paging\.c:31 /);
    await client.step("next");
    assert.match(await client.where(), /^demand-paging\.c:33 /);
    const fault = await client.step("next");
    assert.equal(fault.reason, "exception");
    assert.match(await client.where(), /^demand-paging\.c:33 /);
  });

  it("stepIn enters a call, stepOut comes back behind it", async () => {
    const client = await session.onTour();
    await client.lines(sourcePath("tour.c"), 44);
    await client.go();
    await client.step("stepIn");
    assert.match(await client.where(), / demand_paging$/);
    await client.step("stepOut");
    assert.match(await client.where(), /^tour\.c:4[45] tour$/);
  });

  it("instruction by instruction, over and into a call", async () => {
    const client = await session.onTour();
    await client.lines(sourcePath("tour.c"), 44);
    await client.go();
    const before = client.machine.tick;
    const [top] = await client.stack();
    const { instructions } = await client.request<{ instructions: { address: string }[] }>(
      "disassemble",
      { memoryReference: top?.instructionPointerReference, instructionCount: 2 },
    );
    await client.step("next", "instruction");
    const [after] = await client.stack();
    assert.equal(after?.instructionPointerReference, instructions[1]?.address);
    assert.ok(client.machine.tick > before + 1, "the call was run, not passed by");
    await client.step("stepIn", "instruction");
    assert.match(await client.where(), / stale_translation$/);
  });

  it("a step over a CR3 load stays on the line's track", async () => {
    const client = await session.onTour();
    await client.lines(sourcePath("two-address-spaces.c"), 36);
    await client.go();
    const before = await client.evaluate("$cr3");
    await client.step("next");
    assert.match(await client.where(), /^two-address-spaces\.c:37 /);
    assert.notEqual(await client.evaluate("$cr3"), before);
  });

  it("a breakpoint inside a step ends it", async () => {
    const client = await session.onTour();
    await client.lines(sourcePath("tour.c"), 44);
    await client.go();
    const [inside] = await client.lines(DEMAND, 37);
    const stop = await client.step("next");
    assert.equal(stop.reason, "breakpoint");
    assert.deepEqual(stop.hitBreakpointIds, [inside?.id]);
  });

  it("a long run can be paused, and a pause of a stopped guest is nothing", async () => {
    const client = await session.onTour();
    await client.request("pause", { threadId: 1 });
    await client.request("continue", { threadId: 1 });
    const refusal = await client.refused("stackTrace", { threadId: 1 });
    assert.match(refusal.message, /"stackTrace" needs a stopped machine: pause it first\./);
    await client.request("threads");
    await client.request("pause", { threadId: 1 });
    const stop = await client.stopped();
    assert.equal(stop.reason, "pause");
    assert.equal(stop.description, "Paused");
  });

  it("there is nothing to step out to from the outermost frame", async () => {
    const client = await session.onTour();
    const refusal = await client.refused("stepOut", { threadId: 1 });
    assert.match(refusal.message, /^There is nothing to step out to/);
  });

  it("an ended guest is not run on", async () => {
    const { client } = session;
    await client.launch({ program: sourcePath("paging-tour.elf"), stopOnEntry: false });
    await client.event("terminated");
    for (const command of ["continue", "next", "stepIn", "stepOut"]) {
      const refusal = await client.refused(command, { threadId: 1 });
      assert.equal(refusal.message, "The guest has ended; restart the session to run it again.");
    }
  });

  it("an unknown thread is refused with how threads are numbered", async () => {
    const client = await session.onTour();
    const refusal = await client.refused("next", { threadId: 7 });
    assert.equal(refusal.message, "There is no thread 7: vCPU n is thread n + 1.");
  });
});
