import assert from "node:assert/strict";
import { Client } from "./client";
import { eachWithClient, program } from "./tour";

const base64 = (...bytes: number[]): string => Buffer.from(bytes).toString("base64");
const bytesOf = (data: string | undefined): number[] => [...Buffer.from(data ?? "", "base64")];

describe("memory as a client sees it", () => {
  const session = eachWithClient();
  const refused = async (command: string, args: object) =>
    (await session.client.refused(command, args)).message;

  it("has the same bytes in all five spellings", async () => {
    const client = await session.onTour();
    await client.runTo("two_address_spaces");
    const rip = BigInt(await client.evaluate("$rip, x"));
    const number = async (expression: string) => BigInt(await client.evaluate(`${expression}, x`));
    const code = await client.read(`0x${rip.toString(16)}`, 16);
    assert.equal(bytesOf(code.data).length, 16);
    const root = (await number("$cr3")) & ~0xfffn;
    const references = [
      `gva:0x${rip.toString(16)}`,
      `gva@0x${root.toString(16)}:0x${rip.toString(16)}`,
      `gpa:0x${(await number("gpa($rip)")).toString(16)}`,
      `hva:0x${(await number("hva($rip)")).toString(16)}`,
      `hpa:0x${(await number("hpa($rip)")).toString(16)}`,
    ];
    for (const reference of references) {
      const { address, data } = await client.read(reference, 16);
      assert.equal(data, code.data, reference);
      assert.match(address, /^0x[0-9a-f]+$/, "a plain number: clients read it as one");
      assert.equal(BigInt(address), BigInt(reference.split(":").at(-1) ?? 0));
    }
  });

  it("is read before and after a reference", async () => {
    const client = await session.onTour();
    const whole = bytesOf((await client.read("gpa:0x100000", 64)).data);
    const back = await client.read("gpa:0x100010", 8, -16);
    assert.equal(back.address, "0x100000");
    assert.deepEqual(bytesOf(back.data), whole.slice(0, 8));
    const on = await client.read("gpa:0x100000", 8, 32);
    assert.deepEqual(bytesOf(on.data), whole.slice(32, 40));
    assert.equal(
      await refused("readMemory", { memoryReference: "gpa:0x10", offset: -32, count: 1 }),
      "gpa:0x10 with offset -32 lies outside its address space.",
    );
  });

  it("of no bytes can be read anywhere", async () => {
    const client = await session.onTour();
    for (const reference of ["gva:0x0", "gpa:0xfee00000", "hpa:0xfffffffff000"])
      assert.deepEqual(await client.read(reference, 0), {
        address: `0x${reference.split("0x")[1]}`.replace("0x0", "0x0"),
      });
  });

  it("with a hole ends there, and says how far it goes", async () => {
    const client = await session.onTour();
    await client.runTo("demand_paging");
    const end = await client.read("gpa:0x3ffffff0", 4096 - 16);
    assert.equal(bytesOf(end.data).length + (end.unreadableBytes ?? 0), 4080);
    const device = await client.read("gpa:0xfee00000", 4096);
    assert.deepEqual([bytesOf(device.data).length, device.unreadableBytes], [0, 4096]);
    const hole = await client.read("gva:0x40000000", 0x1000);
    assert.equal(hole.unreadableBytes, 0x1000);
    await client.runTo("stale_translation");
    const partly = await client.read("gva:0x40001ff0", 0x20);
    assert.deepEqual([bytesOf(partly.data).length, partly.unreadableBytes], [16, 16]);
    const before = await client.read("gva:0x3ffff000", 0x2000);
    assert.deepEqual([bytesOf(before.data).length, before.unreadableBytes], [0, 0x1000]);
  });

  it("is refused where the reference is no address", async () => {
    await session.onTour();
    for (const memoryReference of [
      "",
      "rax",
      "gpa:",
      "gfn:0x1",
      "0x1ffffffffffffffff",
      "gpa:0x10000000000000",
    ])
      assert.match(
        await refused("readMemory", { memoryReference, count: 1 }),
        /is not an address: use 0x…, gva:0x…/,
      );
  });

  it("takes bytes, and the guest has them", async () => {
    const client = await session.onTour();
    const written = await client.request<{ bytesWritten: number }>("writeMemory", {
      memoryReference: "gpa:0x2ffe",
      data: base64(1, 2, 3, 4),
    });
    assert.equal(written.bytesWritten, 4);
    assert.deepEqual(bytesOf((await client.read("gpa:0x2ffe", 4)).data), [1, 2, 3, 4]);
    assert.deepEqual(
      bytesOf(Buffer.from(client.machine.gpa.read(0x2ffe as never, 4)).toString("base64")),
      [1, 2, 3, 4],
    );
  });

  it("takes all or nothing, unless part of it is allowed", async () => {
    const client = await session.onTour();
    const end = 64 << 20;
    const memoryReference = `gpa:0x${(end - 2).toString(16)}`;
    const before = (await client.read(memoryReference, 2)).data;
    const data = base64(9, 9, 9, 9);
    assert.equal(
      await refused("writeMemory", { memoryReference, data }),
      `Cannot write 4 bytes at ${memoryReference}: 0x4000000 is no memory.`,
    );
    assert.equal((await client.read(memoryReference, 2)).data, before);
    const part = await client.request<{ bytesWritten: number }>("writeMemory", {
      memoryReference,
      data,
      allowPartial: true,
    });
    assert.equal(part.bytesWritten, 2);
    assert.deepEqual(bytesOf((await client.read(memoryReference, 2)).data), [9, 9]);
  });

  it("that changed is announced for each reference a client has read", async () => {
    const client = new Client({ supportsMemoryEvent: true });
    await client.launch({ program });
    await client.stopped();
    await client.read("gpa:0x2000", 0x1000);
    await client.read("hpa:0x5000", 16, 32);
    await client.request("writeMemory", {
      memoryReference: "gpa:0x2000",
      offset: 8,
      data: base64(1),
    });
    const announced = [(await client.event("memory")).body, (await client.event("memory")).body];
    assert.deepEqual(announced, [
      { memoryReference: "hpa:0x5000", offset: 32, count: 16 },
      { memoryReference: "gpa:0x2000", offset: 0, count: 0x1000 },
    ]);
    client.wire.length = 0;
    await client.step("next");
    await client.event("memory");
    assert.ok(client.wire.indexOf("event memory") > client.wire.indexOf("event stopped"));
    client.dispose();
  });
});
