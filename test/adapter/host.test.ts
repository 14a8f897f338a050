import assert from "node:assert/strict";
import type { HostActionResponse, HostActionsResponse } from "../../src/adapter";
import { readLaunchArguments } from "../../src/adapter/launch";
import type { Client } from "./client";
import { eachWithClient, sourcePath } from "./tour";

describe("the host as a client provokes it", () => {
  const session = eachWithClient();

  async function atInvlpg(): Promise<Client> {
    const client = await session.onTour();
    await client.lines(sourcePath("stale-translation.c"), 31);
    await client.go();
    return client;
  }
  const act = async (client: Client, action: string, address: string): Promise<string> =>
    (await client.request<HostActionResponse>("penumbra/hostAction", { action, address })).text;
  /** The guest page of an spte that maps one, as a row offers it. */
  async function somePage(client: Client): Promise<string> {
    const { nodes } = await client.tree("sptes");
    const page = nodes.find(({ hostPage }) => hostPage !== undefined)?.hostPage;
    assert.ok(page);
    return page;
  }

  it("F-007 rows of sptes offer their page, and an action on it drops its sptes", async () => {
    const client = await atInvlpg();
    const page = await somePage(client);
    assert.ok((await client.tree("sptes", { filter: page })).total > 0);
    const { actions } = await client.request<HostActionsResponse>("penumbra/hostActions");
    assert.ok(actions.some(({ action, title }) => action === "migrate" && title === "Migrate"));
    for (const { action, title, about } of actions) {
      assert.ok(title.length <= 20, title);
      assert.ok(about.length > 0, action);
    }
    const before = await client.evaluate(`hpa(${page})`);
    assert.match(
      await act(client, "migrate", page),
      /^hva 0x7f.* is in another host frame now; \d sptes? dropped\.$/,
    );
    const after = await client.tree("sptes", { filter: page });
    assert.match(after.message ?? "", /^0 sptes for /);
    assert.ok(after.nodes.length > 0 && after.nodes.every((row) => row.change === "dropped"));
    assert.notEqual(await client.evaluate(`hpa(${page})`), before);
  });

  it("refuses with a sentence: no such action, no address, nothing there", async () => {
    const client = await atInvlpg();
    const refused = async (action: string, address: string): Promise<string> => {
      try {
        return await act(client, action, address);
      } catch (refusal) {
        return refusal instanceof Error ? refusal.message : "";
      }
    };
    assert.match(
      await refused("migrat", "gpa:0x1000"),
      /cannot "migrat": did you mean "migrate"\?/,
    );
    assert.match(await refused("fly", "gpa:0x1000"), /choose one of swap-out, migrate/);
    assert.match(await refused("migrate", "gpa:0xfee00000"), /no memslot holds gpa:0xfee00000/);
    assert.match(
      await refused("split", await somePage(client)),
      /hva 0x[0-9a-f]+ is not in a huge page: collapse one first\.$/,
    );
    assert.match(await refused("migrate", "1 +"), /\S/);
  });

  it("the console has the same as commands", async () => {
    const client = await atInvlpg();
    const page = await somePage(client);
    const say = (text: string): Promise<string> => client.evaluate(text, "repl");
    assert.match(await say(`host swap-out ${page}`), /was swapped out; \d+ sptes? dropped/);
    assert.match(await say("host memory"), /pages in use, \d+ pinned\n.*resident.*\n.*1 swapped/);
    assert.match(await say("host free 4"), /^4 of 4 pages went\.$/);
    assert.match(await say("host shrink 1"), /^\d+ of 1 shadow pages went\.$/);
    assert.match(await say("host limit 8M"), /^The host has 8M\.$/);
    assert.match(await say("host memory"), /in use of 2048/);
    assert.match(await say("host limit none"), /no limit/);
    await client.evaluate(`u8(${page})`);
    await assert.rejects(() => say(`host age ${page}`), /not resident, so there is nothing to age/);
    assert.match(await say("host help"), /host migrate <address> .*moves the page/);
    for (const [text, why] of [
      ["host free x", /no number of pages/],
      ["host limit much", /no size: give one such as 16M/],
      ["host limit 1K", /less than 1M/],
      ["host migrate", /needs an address/],
    ] as const)
      await assert.rejects(() => say(text), why);
  });

  it("there is no host without a hypervisor", async () => {
    const client = await session.onTour({ mmu: "none" });
    await assert.rejects(() => client.evaluate("host memory", "repl"), /no host under the guest/);
    await assert.rejects(() => act(client, "migrate", "gpa:0x1000"), /no host under the guest/);
  });
});

describe("the launch keys of the host", () => {
  const read = (keys: object) => readLaunchArguments({ program: "guest.elf", ...keys });

  it("say what memory is made of, and how much there is", () => {
    const args = read({
      backing: "thp",
      hostMemory: "16M",
      memslots: [{ gpa: 0, size: "4M", backing: "hugetlb-2m" }],
    });
    assert.ok(typeof args !== "string");
    assert.deepEqual([args.backing, args.hostMemory], ["thp", 16 * 2 ** 20]);
    assert.equal(args.memslots?.[0]?.backing, "hugetlb-2m");
  });

  it("are refused with what they may be", () => {
    assert.match(String(read({ backing: "tape" })), /"backing" cannot be "tape": choose "anony/);
    assert.match(String(read({ hostMemory: "lots" })), /"hostMemory" must be a size/);
    const slot = { gpa: 0, size: "4M", backing: "tape" };
    assert.match(String(read({ memslots: [slot] })), /entry 0 has a backing that cannot be "tape"/);
  });
});
