import assert from "node:assert/strict";
import { machineOptions, readLaunchArguments } from "../../src/adapter/launch";
import { eachWithClient } from "./tour";

describe("dirty logs from the console", () => {
  const session = eachWithClient();

  it("F-166 are turned on, taken, cleared by hand and turned off", async () => {
    const client = await session.onTour();
    const say = (text: string): Promise<string> => client.evaluate(text, "repl");
    assert.match(await say("log help"), /log get <slot> .*KVM_GET_DIRTY_LOG/);
    assert.equal(await say("log on 0"), "Slot 0 logs dirty pages.");
    assert.match(await say("log get 0"), /^0 of 16384 pages dirty\.$/);
    // As the guest's own store would be.
    for (const memoryReference of ["gpa:0x300000", "gpa:0x302000", "gpa:0x303000"])
      await client.request("writeMemory", { memoryReference, data: "AQ==" });
    assert.equal(await say("log protect manual"), "Dirty pages are protected: manual.");
    const text = "3 of 16384 pages dirty: gpa 0x300000, gpa 0x302000–0x303fff.";
    assert.equal(await say("log get 0"), text);
    assert.equal(await say("log get 0"), text);
    assert.equal(await say("log clear 0"), `Cleared: ${text}`);
    assert.match(await say("log get 0"), /^0 of/);
    assert.equal(await say("log off 0"), "Slot 0 logs no more.");
  });

  it("refuse with a sentence", async () => {
    const client = await session.onTour();
    for (const [text, why] of [
      ["log get 0", /: Slot 0 keeps no dirty log: set its flag 1 \(ENOENT\)\.$/],
      ["log clear 0", /: Slot 0 keeps no dirty log: .* \(ENOENT\)\.$/],
      ["log get 7", /There is no slot "7": slots\(\) lists them/],
      ["log take 0", /There is no "log take": "log help" lists/],
      ["log protect twice", /no way to protect: choose auto, manual, all-dirty/],
    ] as const)
      await assert.rejects(() => client.evaluate(text, "repl"), why);
  });

  it("need a hypervisor", async () => {
    const client = await session.onTour({ mmu: "none" });
    await assert.rejects(() => client.evaluate("log on 0", "repl"), /"mmu": "none"/);
  });

  it("F-009 show their pages in the Memslots view", async () => {
    const client = await session.onTour();
    await client.evaluate("log on 0", "repl");
    const parent = "memslots/0/dirty-pages";
    assert.equal((await client.tree("memslots", { parent })).total, 0);
    for (const memoryReference of ["gpa:0x300000", "gpa:0x302000", "gpa:0x303000"])
      await client.request("writeMemory", { memoryReference, data: "AQ==" });
    const { nodes } = await client.tree("memslots", { parent });
    assert.deepEqual(
      nodes.map(({ label, description }) => `${label}: ${description}`),
      ["gpa 0x300000: 1 page", "gpa 0x302000–0x303fff: 2 pages"],
    );
  });
});

describe("the launch keys of kvm's module parameters", () => {
  it("are passed on where they are said", () => {
    const read = (keys: object) => {
      const args = readLaunchArguments({ program: "guest.elf", ...keys });
      assert.ok(typeof args !== "string");
      return machineOptions(args, new Uint8Array(0), undefined).kvm;
    };
    assert.deepEqual(read({}), {});
    const said = { nxHugePages: true, eagerPageSplit: false, pml: false, eptad: true };
    assert.deepEqual(read(said), said);
    assert.match(String(readLaunchArguments({ program: "g", pml: 1 })), /"pml"/);
  });
});
