import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Client } from "./client";
import { eachWithClient } from "./tour";

type Completions = DebugProtocol.CompletionsResponse["body"];

const rowsOf = async (client: Client): Promise<readonly string[]> =>
  (await client.tree("memslots")).nodes
    .filter(({ change }) => change !== "dropped")
    .map(({ label, description }) => `${label} ${description}`);

describe("memslots from the console and the view", () => {
  const session = eachWithClient();

  it("F-158 are made, moved, flagged and deleted, and the view follows", async () => {
    const client = await session.onTour();
    const say = (text: string): Promise<string> => client.evaluate(text, "repl");
    const made = "Slot 1 is at gpa 0x8000000–0x81fffff, hva 0x7f0008000000, log-dirty.";
    assert.equal(await say("slot create gpa:0x8000000 2M log-dirty thp"), made);
    assert.deepEqual(await rowsOf(client), [
      "slot 0 gpa 0x0–0x3ffffff · 64 MiB · hva 0x7f0000000000",
      "slot 1 gpa 0x8000000–0x81fffff · 2 MiB · log dirty pages · dirty 0 of 512 · hva 0x7f0008000000",
    ]);
    await client.request("writeMemory", { memoryReference: "gpa:0x8001000", data: "AQ==" });
    assert.equal(await say("log get 1"), "1 of 512 pages dirty: gpa 0x8001000.");
    assert.equal(await say("slot flags 1 none"), "Slot 1 has no flags.");
    assert.equal(
      await say("slot move 1 0x9000000"),
      "Slot 1 is at gpa 0x9000000–0x91fffff, hva 0x7f0008000000.",
    );
    assert.equal(await client.evaluate("u8(gpa:0x9001000)"), "0x1");
    // Moved by less than 2 MiB: what api.rst recommends is said.
    assert.match(await say("slot move 1 0x9001000"), /differ in their lower 21 bits.*align both/);
    assert.match(await say("slot delete 1"), /^Slot 1 is gone: gpa 0x9001000–0x9200fff is no mem/);
    assert.equal((await rowsOf(client)).length, 1);
    assert.match(await client.evaluate("hpa(gpa:0x9002000)"), /no memslot/);
  });

  it("a slot may show memory that has an address already", async () => {
    const client = await session.onTour();
    const say = (text: string): Promise<string> => client.evaluate(text, "repl");
    await say("slot create 0x8000000 1M hva:0x7f0000100000");
    await client.request("writeMemory", { memoryReference: "gpa:0x8001000", data: "Kg==" });
    assert.equal(await client.evaluate("u8(gpa:0x101000)"), "0x2a");
    // Its memory stays: slot 0 shows it too.
    await say("slot delete 1");
    assert.equal(await client.evaluate("u8(gpa:0x101000)"), "0x2a");
  });

  it("its memory is part of the process: deleted with it, and a place is found for the next", async () => {
    const client = await session.onTour();
    const say = (text: string): Promise<string> => client.evaluate(text, "repl");
    for (const backing of ["file", "file", "hugetlb-2m"]) {
      await say(`slot create 0x8000000 2M ${backing}`);
      await say("slot move 1 0xa000000");
      assert.match(
        await say(`slot create 0x8000000 2M ${backing}`),
        /^Slot 2 is at gpa 0x8000000–0x81fffff, hva 0x7f0048000000\.$/,
      );
      await say("slot delete 1");
      await say("slot delete 2");
    }
    assert.match(await say("host memory"), /\(0 in 2M pages/);
    assert.deepEqual(client.machine.vm?.check(), []);
  });

  it("are refused in words, with the errno of the API", async () => {
    const client = await session.onTour();
    for (const [text, why] of [
      ["slot create 0x1000 1M", /Slot 1 at gpa 0x1000 overlaps slot 0.*choose another.*\(EEXIST\)/],
      ["slot create 0x8000800 1M", /must be multiples of 0x1000/],
      ["slot create 0x8000000 1000", /multiples of 0x1000/],
      ["slot create 0xbff00000 2M", /ends above 0xc0000000, where devices begin/],
      ["slot create 0x8000000 8000G", /ends above 0xc0000000/],
      ["slot create 0x8000000", /"" is no size/],
      ["slot create", /address is missing/],
      ["slot create hpa:0x1000 1M", /no guest physical address/],
      ["slot create 0x8000000 2M thp file", /one backing: choose thp or file/],
      ["slot create 0x8000000 1M tape", /"tape" is no flag and no backing: choose ro, log-dirty/],
      ["slot create 0x8000000 1M hugetlb-2m", /multiples of the huge page's 0x200000/],
      ["slot create 0x8000000 1G hugetlb-1g", /multiples of the huge page's 0x40000000/],
      ["slot move 0 0x800", /must be multiples of 0x1000.*\(EINVAL\)/],
      ["slot move 9 0x8000000", /There is no slot "9"/],
      ["slot flags 0 ro", /cannot change between read-only and writable.*\(EINVAL\)/],
      ["slot flags 0 wet", /"wet" is no flag: choose ro, log-dirty or none/],
      ["slot resize 0", /There is no "slot resize": "slot help" lists/],
    ] as const)
      await assert.rejects(() => client.evaluate(text, "repl"), why);
    assert.equal((await rowsOf(client)).length, 1);
    assert.match(await client.evaluate("slot help", "repl"), /slot move <slot> <gpa> .*another/);
    assert.deepEqual(client.machine.vm?.check(), []);
  });

  it("a guest goes on when the slot it does not use is changed, and its checkpoint has the new slots", async () => {
    const client = await session.onTour({ check: true });
    await client.evaluate("slot create 0x8000000 1M", "repl");
    await client.functions("stale_translation");
    assert.equal((await client.go()).reason, "breakpoint");
    const saved = client.machine.save();
    await client.evaluate("slot delete 1", "repl");
    client.machine.restore(saved);
    assert.equal((await rowsOf(client)).length, 2);
  });

  it("say what the host makes of them, and how many huge pages", async () => {
    const client = await session.onTour({ backing: "thp" });
    await client.evaluate("slot create 0x8000000 2M hugetlb-2m", "repl");
    await client.evaluate("slot create 0xa000000 2M file", "repl");
    await client.runTo("stale_translation");
    const fact = async (slot: number, name: string): Promise<string | undefined> => {
      const { nodes } = await client.tree("memslots", { parent: `memslots/${slot}` });
      return nodes.find(({ label }) => label === name)?.description;
    };
    assert.equal(await fact(0, "host memory"), "anonymous, transparent huge pages");
    assert.equal(await fact(0, "resident"), "1536 of 16384 · 3 × 2 MiB");
    assert.equal(await fact(1, "host memory"), "hugetlb, 2 MiB pages");
    assert.equal(await fact(2, "host memory"), 'file "memslot-2"');
  });

  it("need a hypervisor", async () => {
    const client = await session.onTour({ mmu: "none" });
    await assert.rejects(() => client.evaluate("slot delete 0", "repl"), /"mmu": "none"/);
  });
});

describe("completion in the console", () => {
  const session = eachWithClient();

  const offered = async (client: Client, text: string) => {
    const column = text.length + 1;
    const { targets } = await client.request<Completions>("completions", { text, column });
    return targets;
  };
  const labels = async (client: Client, text: string): Promise<readonly string[]> =>
    (await offered(client, text)).map(({ label }) => label);

  it("offers the commands' first words beside expressions", async () => {
    const client = await session.onTour();
    const all = await labels(client, "");
    for (const word of ["host", "log", "slot", "spte", "walk", "gpa:"])
      assert.ok(all.includes(word));
    assert.deepEqual((await labels(client, "ho")).slice(0, 1), ["host"]);
    assert.ok((await labels(client, "1 + wal")).includes("walk"));
  });

  it("offers verbs, each with what it does, and replaces the part that is typed", async () => {
    const client = await session.onTour();
    const verbs = await labels(client, "host ");
    for (const verb of ["memory", "limit", "migrate", "swap-out", "help"])
      assert.ok(verbs.includes(verb), verb);
    const [swap] = await offered(client, "host swap-o");
    assert.deepEqual([swap?.label, swap?.start, swap?.length], ["swap-out", 5, 6]);
    assert.match(swap?.detail ?? "", /swap device/);
    assert.deepEqual(await labels(client, "slot m"), ["move"]);
  });

  it("offers what a verb takes", async () => {
    const client = await session.onTour();
    assert.deepEqual(await labels(client, "log get "), ["0"]);
    assert.deepEqual(await labels(client, "log protect "), ["auto", "manual", "all-dirty"]);
    assert.deepEqual(await labels(client, "host limit "), ["none"]);
    assert.deepEqual(await labels(client, "slot flags 0 log-dirty r"), ["ro"]);
    assert.ok((await labels(client, "slot create 0x8000000 1M ")).includes("hugetlb-2m"));
    assert.ok((await labels(client, "host migrate gp")).includes("gpa:"));
    assert.deepEqual(await labels(client, "host free "), []);
    assert.deepEqual(await labels(client, "log get 0 "), []);
  });

  it("a command's word alone lists what there is", async () => {
    const client = await session.onTour();
    assert.match(await client.evaluate("log", "repl"), /log get <slot> .*KVM_GET_DIRTY_LOG/);
    assert.match(await client.evaluate(" host ", "repl"), /host migrate <address>/);
  });
});
