import assert from "node:assert/strict";
import { eachWithClient, program, sourcePath } from "./tour";

describe("a session with the paging tour", () => {
  const session = eachWithClient();

  it("stops on entry, before the first instruction", async () => {
    const { client } = session;
    await client.launch({ program });
    assert.equal((await client.stopped()).reason, "entry");
    assert.equal(await client.where(), "boot.S:26 _start");
  });

  it("stops at a line breakpoint and steps over statements", async () => {
    const client = await session.onTour();
    const [breakpoint] = await client.lines(sourcePath("demand-paging.c"), 30);
    assert.equal(breakpoint?.verified, true);
    assert.equal((await client.go()).reason, "breakpoint");
    assert.equal(await client.where(), "demand-paging.c:30 demand_paging");
    await client.step("next");
    assert.equal(await client.where(), "demand-paging.c:31 demand_paging");
  });

  it("stops on the guest's own page faults, before they are delivered", async () => {
    const client = await session.onTour();
    await client.filters("pf");
    const stop = await client.go();
    assert.equal(stop.reason, "exception");
    assert.match(
      stop.description ?? "",
      /^Page fault: supervisor write to gva 0x40000000, .*\(error 0x2\)$/,
    );
    assert.equal(await client.where(), "demand-paging.c:30 demand_paging");
    const seen = [await client.evaluate("$cr2")];
    for (let n = 0; n < 5; n++) seen.push(String((await client.go()).description));
    assert.deepEqual(
      seen.slice(1).map((text) => /gva (0x\w+).*\(error (0x\w+)\)/.exec(text)?.slice(1).join(" ")),
      ["0x40001000 0x0", "0x409ff000 0x3", "0x40a00000 0x3", "0x40a00000 0x3", "0x100000 0x5"],
    );
  });

  it("shows the host address of a page change when the guest remaps it", async () => {
    const client = await session.onTour();
    await client.filters("invlpg");
    const stop = await client.go();
    assert.match(stop.description ?? "", /^INVLPG of gva 0x40277000/);
    assert.equal(await client.where(), "stale-translation.c:31 stale_translation");
    assert.ok((await client.tree("unsync")).nodes.length > 0, "a page is unsync before the INVLPG");
    const before = await client.evaluate("hpa(0x40277000)");
    await client.step("next");
    assert.equal(await client.where(), "stale-translation.c:32 stale_translation");
    assert.match(before, /^hpa:0x1/);
  });

  it("a CR3 load syncs: after one step the unsync view is empty", async () => {
    const client = await session.onTour();
    await client.lines(sourcePath("stale-translation.c"), 41);
    await client.go();
    const unsync = () => client.tree("unsync");
    assert.equal((await unsync()).badge, 2);
    await client.step("next");
    assert.deepEqual((await unsync()).nodes, []);
    assert.equal((await unsync()).badge, 0);
  });

  it("ends with the guest's status, and what it printed was shown", async () => {
    const { client } = session;
    await client.launch({ program, stopOnEntry: false });
    const { body } = await client.event("exited");
    assert.equal(body.exitCode, 0);
    await client.event("terminated");
    assert.match(client.output, /paging-tour: all chapters done/);
  });
});
