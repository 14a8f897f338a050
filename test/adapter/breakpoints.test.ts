import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { eachWithClient, sourcePath } from "./tour";

const DEMAND = sourcePath("demand-paging.c");
const TWO = sourcePath("two-address-spaces.c");

describe("breakpoints on code", () => {
  const session = eachWithClient();

  it("move to the next line with code", async () => {
    const client = await session.onTour();
    const [moved] = await client.lines(DEMAND, 29);
    assert.equal(moved?.verified, true);
    assert.equal(moved?.line, 30);
    await client.go();
    assert.match(await client.where(), /^demand-paging\.c:30 /);
  });

  it("that cannot be placed say why", async () => {
    const client = await session.onTour();
    const [late] = await client.lines(DEMAND, 4000);
    assert.equal(late?.verified, false);
    assert.equal(late?.reason, "failed");
    assert.equal(late?.message, "There is no code at line 4000 or shortly after it.");
    const [foreign] = await client.lines("/elsewhere/other.c", 1);
    assert.equal(foreign?.verified, false);
    assert.match(foreign?.message ?? "", /No image of this session was built from this file/);
  });

  it("know a path however its separators are written", async () => {
    const client = await session.onTour();
    const [placed] = await client.lines(DEMAND.replace("paging-tour", "x/../paging-tour"), 30);
    assert.equal(placed?.verified, true);
  });

  it("show a caret under what is wrong with a condition", async () => {
    const client = await session.onTour();
    const [bad] = await client.lines(DEMAND, { line: 30, condition: "$rax == == 1" });
    assert.equal(bad?.verified, false);
    assert.match(bad?.message ?? "", /^\$rax == == 1\n {8}\^+ /);
    const [count] = await client.lines(DEMAND, { line: 30, hitCondition: "often" });
    assert.match(
      count?.message ?? "",
      /^often\n\^{5} "often" counts nothing: write 5, >=5 or %10$/,
    );
    const [log] = await client.lines(DEMAND, { line: 30, logMessage: "rax {$rax +}" });
    assert.match(log?.message ?? "", /^rax \{\$rax \+\}\n {11}\^ /);
  });

  it("stop where their condition holds, and name themselves", async () => {
    const client = await session.onTour();
    const [here, never] = await client.lines(
      TWO,
      { line: 20, condition: "value == 0xb" },
      { line: 37, condition: "value" },
    );
    const stop = await client.go();
    assert.deepEqual(stop.hitBreakpointIds, [here?.id]);
    assert.equal(await client.evaluate("value, d"), "11");
    assert.notEqual(never?.id, here?.id);
  });

  it("stop with the reason when a condition cannot be decided", async () => {
    const client = await session.onTour();
    await client.lines(DEMAND, { line: 30, condition: "no_such_thing == 1" });
    const stop = await client.go();
    assert.match(stop.description ?? "", /^The condition "no_such_thing == 1" failed: /);
  });

  it("count their hits: the third, from the third on, each second", async () => {
    const client = await session.onTour();
    const values = async (hitCondition: string): Promise<readonly string[]> => {
      const seen: string[] = [];
      await client.lines(TWO, { line: 20, hitCondition }, 49);
      for (;;) {
        await client.go();
        if (!(await client.where()).startsWith("two-address-spaces.c:20 ")) break;
        seen.push(await client.evaluate("value, x"));
      }
      await client.lines(TWO);
      await client.request("restart");
      await client.stopped();
      return seen;
    };
    assert.deepEqual(await values("3"), ["0xb"]);
    assert.deepEqual(await values(">=3"), ["0xb", "0x5c"]);
    assert.deepEqual(await values("%2"), ["0xa", "0x5c"]);
  });

  it("log instead of stopping, with values in their formats", async () => {
    const client = await session.onTour();
    await client.lines(TWO, { line: 20, logMessage: "frame of {value,x} is {{{value,d}}}" }, 49);
    await client.go();
    assert.match(await client.where(), /^two-address-spaces\.c:49 /);
    const logged = client.output.split("\n").filter((line) => line.startsWith("frame of"));
    assert.deepEqual(logged, [
      "frame of 0x5a is {90}",
      "frame of 0xa is {10}",
      "frame of 0xb is {11}",
      "frame of 0x5c is {92}",
    ]);
  });

  it("are not hit again when a fault's handler returns to them", async () => {
    const client = await session.onTour();
    await client.lines(DEMAND, 30, 31);
    await client.go();
    assert.match(await client.where(), /^demand-paging\.c:30 /);
    await client.go();
    assert.match(await client.where(), /^demand-paging\.c:31 /);
  });

  it("are hit and counted when a step comes to them", async () => {
    const client = await session.onTour();
    await client.runTo("demand_paging");
    const [line] = await client.lines(DEMAND, { line: 31, logMessage: "two" }, 30);
    while (!(await client.where()).includes(":30 ")) await client.step("next");
    await client.step("next");
    assert.match(await client.where(), /^demand-paging\.c:31 /);
    assert.match(client.output, /^two$/m);
    assert.equal(line?.verified, true);
  });

  it("inside a fault's handler are hit by a step over the fault", async () => {
    const client = await session.onTour();
    await client.lines(DEMAND, 30);
    await client.go();
    const [inside] = await client.lines(DEMAND, 20);
    const stop = await client.step("next");
    assert.equal(stop.reason, "breakpoint");
    assert.deepEqual(stop.hitBreakpointIds, [inside?.id]);
    assert.match(await client.where(), /^demand-paging\.c:20 map_fresh_page/);
  });

  it("can be set while the guest runs", async () => {
    const client = await session.onTour();
    await client.request("continue", { threadId: 1 });
    const [placed] = await client.lines(sourcePath("tour.c"), 51);
    assert.equal(placed?.verified, true);
    assert.equal((await client.stopped()).reason, "breakpoint");
    assert.match(await client.where(), /^tour\.c:51 /);
  });

  it("on instructions take a reference and a byte offset", async () => {
    const client = await session.onTour();
    const [top] = await client.stack();
    const reference = top?.instructionPointerReference ?? "";
    const { instructions } = await client.request<{
      instructions: DebugProtocol.DisassembledInstruction[];
    }>("disassemble", { memoryReference: reference, instructionCount: 3 });
    const third = BigInt(instructions[2]?.address ?? 0);
    const { breakpoints } = await client.request<DebugProtocol.SetBreakpointsResponse["body"]>(
      "setInstructionBreakpoints",
      {
        breakpoints: [
          { instructionReference: reference, offset: Number(third - BigInt(reference)) },
          { instructionReference: "gpa:0x1000" },
          { instructionReference: `0x${(third + 1n).toString(16)}` },
        ],
      },
    );
    assert.equal(breakpoints[0]?.verified, true);
    assert.equal(breakpoints[0]?.instructionReference, `0x${third.toString(16)}`);
    assert.equal(breakpoints[1]?.verified, false);
    assert.match(breakpoints[1]?.message ?? "", /gpa:0x1000 is no address of guest code/);
    assert.equal(breakpoints[0]?.message, undefined);
    assert.equal(breakpoints[2]?.verified, true);
    assert.match(breakpoints[2]?.message ?? "", /^0x\w+ is inside the instruction at 0x\w+\.$/);
    const stop = await client.go();
    assert.deepEqual(stop.hitBreakpointIds, [breakpoints[0]?.id]);
    const [now] = await client.stack();
    assert.equal(BigInt(now?.instructionPointerReference ?? 0), third);
  });

  it("can be offered only at lines with code", async () => {
    const client = await session.onTour();
    const at = async (line: number, endLine: number) => {
      const body = await client.request<DebugProtocol.BreakpointLocationsResponse["body"]>(
        "breakpointLocations",
        { source: { path: DEMAND }, line, endLine },
      );
      return body.breakpoints.map((b) => b.line);
    };
    assert.deepEqual(await at(28, 34), [30, 31, 33]);
    assert.deepEqual(await at(1, 9), []);
  });
});
