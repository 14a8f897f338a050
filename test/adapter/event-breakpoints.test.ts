import assert from "node:assert/strict";
import { eachWithClient } from "./tour";

describe("breakpoints on events and functions", () => {
  const session = eachWithClient();

  it("stop at a symbol, behind the entry code of a function", async () => {
    const client = await session.onTour();
    const [symbol] = await client.functions("two_address_spaces");
    assert.equal(symbol?.verified, true);
    const stop = await client.go();
    assert.deepEqual(stop.hitBreakpointIds, [symbol?.id]);
    assert.match(stop.description ?? "", /^Breakpoint at two_address_spaces/);
    assert.match(await client.where(), /^two-address-spaces\.c:\d+ two_address_spaces$/);
  });

  it("stop at each function whose name matches", async () => {
    const client = await session.onTour();
    const [pattern] = await client.functions("/re ^(stale_translation|large_pages)$");
    assert.equal(pattern?.verified, true);
    await client.go();
    assert.match(await client.where(), / stale_translation$/);
    await client.go();
    assert.match(await client.where(), / large_pages$/);
  });

  it("that make no sense say so, with a caret under the place", async () => {
    const client = await session.onTour();
    const [symbol, event, condition, pattern, none] = await client.functions(
      "demand_pagin",
      "invlgp 0x7000",
      "pf error.w &&",
      "/re ^(",
      "/re ^no_such_",
    );
    assert.equal(symbol?.message, "There is no symbol demand_pagin; did you mean demand_paging?");
    assert.match(
      event?.message ?? "",
      /^invlgp 0x7000\n\^{6} there is no event invlgp; did you mean invlpg\?$/,
    );
    assert.match(condition?.message ?? "", /^pf error\.w &&\n {13}\^ /);
    assert.match(pattern?.message ?? "", /^\/re \^\(\n {4}\^\^ /);
    assert.match(none?.message ?? "", /^No function's name matches/);
    for (const answer of [symbol, event, condition, pattern, none]) {
      assert.equal(answer?.verified, false);
      assert.equal(answer?.reason, "failed");
    }
  });

  it("stop on an event with a target and a condition", async () => {
    const client = await session.onTour();
    const [pf, invlpg] = await client.functions("pf error.w && !error.p", "invlpg 0x40277000");
    const first = await client.go();
    assert.deepEqual(first.hitBreakpointIds, [pf?.id]);
    assert.match(first.description ?? "", /supervisor write to gva 0x40000000, .*\(error 0x2\)/);
    const second = await client.go();
    assert.deepEqual(second.hitBreakpointIds, [invlpg?.id]);
    assert.match(second.description ?? "", /^INVLPG of gva 0x40277000/);
  });

  it("on events count and log as those on code do", async () => {
    const client = await session.onTour();
    await client.functions(Object.assign({ name: "pf" }, { logMessage: "fault at {cr2}" }), {
      name: "pf",
      hitCondition: "3",
    });
    await client.go();
    const logged = client.output.split("\n").filter((line) => line.startsWith("fault at"));
    assert.equal(logged.length, 3);
    assert.match(logged[2] ?? "", /0x409ff000/);
  });

  it("of the exception list each have their own condition", async () => {
    const client = await session.onTour();
    const [pf, invlpg] = await client.filters(
      { filterId: "pf", condition: "cr2 >= 0x40a00000" },
      { filterId: "invlpg", condition: "gva == 1" },
    );
    assert.equal(pf?.verified, true);
    assert.equal(invlpg?.verified, true);
    const stop = await client.go();
    assert.deepEqual(stop.hitBreakpointIds, [pf?.id]);
    assert.match(stop.description ?? "", /gva 0x40a00000/);
  });

  it("of the exception list that make no sense say so", async () => {
    const client = await session.onTour();
    const [unknown, good, typo] = await client.filters(
      "invlpgs",
      { filterId: "pf", condition: "cr2 >" },
      "gp",
    );
    assert.equal(unknown?.message, "There is no filter invlpgs; did you mean invlpg?");
    assert.match(typo?.message ?? "", /^cr2 >\n {5}\^ /);
    assert.deepEqual([unknown?.verified, typo?.verified, good?.verified], [false, false, true]);
  });

  it("are gone when the list no longer has them", async () => {
    const client = await session.onTour();
    await client.filters("pf");
    await client.go();
    await client.filters();
    await client.functions("write_protect");
    await client.go();
    assert.match(await client.where(), / write_protect$/);
  });
});
