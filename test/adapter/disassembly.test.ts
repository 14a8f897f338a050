import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { eachWithClient } from "./tour";

describe("disassembly as a client sees it", () => {
  const session = eachWithClient();

  async function rows(
    memoryReference: string,
    instructionCount: number,
    more: Partial<DebugProtocol.DisassembleArguments> = {},
  ): Promise<readonly DebugProtocol.DisassembledInstruction[]> {
    const { instructions } = await session.client.request<{
      instructions: DebugProtocol.DisassembledInstruction[];
    }>("disassemble", { memoryReference, instructionCount, ...more });
    assert.equal(instructions.length, instructionCount, "exactly the rows that were asked for");
    return instructions;
  }
  async function inTour(): Promise<string> {
    const client = await session.onTour();
    await client.runTo("two_address_spaces");
    const [top] = await client.stack();
    return top?.instructionPointerReference ?? "";
  }
  const addresses = (list: readonly DebugProtocol.DisassembledInstruction[]) =>
    list.map((row) => BigInt(row.address));

  it("goes on without gaps, with bytes, places and symbols", async () => {
    const at = await inTour();
    const list = await rows(at, 20);
    assert.equal(list[0]?.address, at);
    list.slice(1).forEach((row, i) => {
      const before = list[i];
      const length = before?.instructionBytes?.split(" ").length ?? 0;
      assert.equal(BigInt(row.address), BigInt(before?.address ?? 0) + BigInt(length));
    });
    assert.equal(list[0]?.location?.name, "two-address-spaces.c");
    assert.ok(
      list.some((row) => /call\s.*; \w+/.test(row.instruction)),
      "calls name what they call",
    );
  });

  it("goes backward over the same instructions that it goes forward over", async () => {
    const at = await inTour();
    const forward = await rows(at, 30);
    const middle = forward[20]?.address ?? "";
    const around = await rows(middle, 30, { instructionOffset: -20 });
    assert.deepEqual(addresses(around).slice(0, 21), addresses(forward).slice(0, 21));
    const far = await rows(at, 5, { instructionOffset: 10 });
    assert.deepEqual(addresses(far), addresses(forward).slice(10, 15));
  });

  it("adds a byte offset before it counts instructions", async () => {
    const at = await inTour();
    const forward = await rows(at, 4);
    const offset = Number(BigInt(forward[2]?.address ?? 0) - BigInt(at));
    const [moved] = await rows(at, 1, { offset });
    assert.equal(moved?.address, forward[2]?.address);
    const [back] = await rows(forward[2]?.address ?? "", 1, { offset: -offset });
    assert.equal(back?.address, at);
  });

  it("of what is no code gives rows of a byte each, marked and never twice the same", async () => {
    await inTour();
    for (const reference of ["gva:0x50000000", "0x700000000000", "0xfffffffffffffff8"]) {
      const list = await rows(reference, 60, { instructionOffset: -30 });
      assert.equal(new Set(list.map((row) => row.address)).size, 60, reference);
      assert.ok(
        list.some((row) => row.presentationHint === "invalid"),
        reference,
      );
    }
    const [top] = await rows("gva:0x50000000", 1);
    assert.equal(top?.instruction, "(not mapped)");
  });

  it("below address 0 gives rows that clients leave out", async () => {
    await inTour();
    const list = await rows("0x0", 8, { instructionOffset: -4 });
    assert.deepEqual(
      list.slice(0, 4).map((row) => row.address),
      ["-1", "-1", "-1", "-1"],
    );
    assert.equal(list[4]?.address, "0x0");
  });

  it("has labels where functions begin", async () => {
    await inTour();
    const [entry] = await rows(await session.client.evaluate("&two_address_spaces, x"), 1);
    assert.equal(entry?.symbol, "two_address_spaces");
  });

  it("is of guest virtual code, and of a listing's length", async () => {
    const { client } = session;
    await inTour();
    const refused = async (args: object) => (await client.refused("disassemble", args)).message;
    assert.match(
      await refused({ memoryReference: "gpa:0x1000", instructionCount: 1 }),
      /^"gpa:0x1000" is guest physical: only guest virtual code is listed/,
    );
    assert.match(
      await refused({ memoryReference: "0x1000", instructionCount: 10_000_000 }),
      /too much; ask for at most 50000/,
    );
    assert.match(
      await refused({ memoryReference: "nowhere", instructionCount: 1 }),
      /is not an address/,
    );
  });
});
