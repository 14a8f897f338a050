import assert from "node:assert/strict";
import type { ParentsResponse, TreeNode, ViewName } from "../../src/adapter";
import type { Client } from "./client";
import { eachWithClient, sourcePath } from "./tour";

const VIEWS: readonly ViewName[] = ["shadowRoots", "sptes", "unsync", "memslots"];

describe("the tree views as a client asks for them", () => {
  const session = eachWithClient();

  /** Before the INVLPG of the chapter on stale translations: a page is unsync. */
  async function atInvlpg(): Promise<Client> {
    const client = await session.onTour();
    await client.lines(sourcePath("stale-translation.c"), 31);
    await client.go();
    return client;
  }
  /** Every node of a view with the ids above it. */
  async function all(
    client: Client,
    view: ViewName,
    above: readonly string[] = [],
  ): Promise<readonly { readonly node: TreeNode; readonly path: readonly string[] }[]> {
    const parent = above.at(-1);
    const { nodes } = await client.tree(view, parent === undefined ? {} : { parent });
    const found: { node: TreeNode; path: readonly string[] }[] = [];
    for (const node of nodes) {
      const path = [...above, node.id];
      found.push({ node, path });
      if (node.children !== "none") found.push(...(await all(client, view, path)));
    }
    return found;
  }

  for (const view of VIEWS)
    it(`${view}: each node is there for a person, has its own id, and is found from it`, async () => {
      const client = await atInvlpg();
      const nodes = await all(client, view);
      assert.ok(nodes.length > 0);
      assert.equal(new Set(nodes.map(({ node }) => node.id)).size, nodes.length);
      for (const { node, path } of nodes) {
        assert.ok(node.label && node.spoken && node.tooltip && node.icon && node.context, node.id);
        const parents = await client.request<ParentsResponse>("penumbra/parents", {
          view,
          id: node.id,
        });
        assert.deepEqual(parents.path, path, node.id);
        if (node.watch) assert.match(await client.evaluate(node.watch), /\S/, node.watch);
        if (node.memoryReference) {
          const { data } = await client.read(node.memoryReference, 8);
          assert.equal(Buffer.from(data ?? "", "base64").length, 8, node.memoryReference);
        }
        if (node.breakpoint) {
          const [placed] = await client.functions(node.breakpoint);
          assert.equal(placed?.verified, true, `${node.breakpoint}: ${placed?.message}`);
        }
      }
    });

  it("a view is given in pages that agree with the whole", async () => {
    const client = await atInvlpg();
    const whole = await client.tree("sptes");
    assert.ok(whole.total > 10);
    assert.equal(whole.nodes.length, Math.min(whole.total, 200));
    const first = await client.tree("sptes", { count: 4 });
    const second = await client.tree("sptes", { start: 4, count: 4 });
    assert.deepEqual(
      [...first.nodes, ...second.nodes].map((n) => n.id),
      whole.nodes.slice(0, 8).map((n) => n.id),
    );
    assert.equal(second.total, whole.total);
    assert.deepEqual((await client.tree("sptes", { start: 100_000 })).nodes, []);
    assert.ok((await client.tree("sptes", { count: 100_000 })).nodes.length <= 200);
  });

  it("sptes are found by gva, gpa, gfn, hpa and text", async () => {
    const client = await atInvlpg();
    const { nodes: by } = await client.tree("sptes", { filter: "0x40277000" });
    assert.equal(by.length, 1);
    const spte = by[0]?.id;
    const gpa = await client.evaluate("spte(0x40277000).pfn, x");
    assert.ok(gpa);
    const find = async (filter: string) =>
      (await client.tree("sptes", { filter })).nodes.map((n) => n.id);
    const hpa = (await client.evaluate("hpa(0x40277000)")).split(" ")[0] ?? "";
    assert.ok((await find(hpa)).includes(spte ?? ""), hpa);
    const { value = "" } = by[0] ?? {};
    assert.ok((await find("40277000")).length + value.length > 0);
    assert.deepEqual(await find("no such text anywhere"), []);
    const unmapped = await client.tree("sptes", { filter: "0x700000000000" });
    assert.deepEqual(unmapped.nodes, []);
    assert.match(unmapped.message ?? "", /\S/);
    const typo = await client.tree("sptes", { filter: "gpa:0x3000 +" });
    assert.deepEqual(typo.nodes, []);
  });

  it("tooltips name every bit", async () => {
    const client = await atInvlpg();
    const { nodes } = await client.tree("sptes", { filter: "0x40277000" });
    for (const word of [/present/i, /writ/i, /user/i, /accessed/i, /dirty/i, /execut/i])
      assert.match(nodes[0]?.tooltip ?? "", word);
  });

  it("what a step changed is marked, and only until the next stop", async () => {
    const client = await atInvlpg();
    await client.tree("unsync");
    await client.lines(sourcePath("stale-translation.c"), 41);
    await client.go();
    assert.ok((await client.tree("unsync")).nodes.length > 0);
    await client.step("next");
    const after = await client.tree("unsync");
    assert.deepEqual(after.nodes, []);
    assert.equal(after.badge, 0);
    await client.tree("sptes");
    await client.lines(sourcePath("two-address-spaces.c"), 37);
    await client.go();
    const now = await client.tree("sptes");
    assert.ok(
      now.nodes.some((n) => n.change !== undefined),
      "something changed between",
    );
    // An instruction or two of these may touch a page for the first time; the others change nothing.
    const marked: number[] = [];
    for (let n = 0; n < 6; n++) {
      await client.step("stepIn", "instruction");
      const { nodes } = await client.tree("sptes");
      marked.push(nodes.filter((node) => node.change !== undefined).length);
    }
    assert.ok(marked.includes(0), marked.join(" "));
  });

  it("while the guest runs there is nothing certain to show", async () => {
    const client = await session.onTour();
    await client.request("continue", { threadId: 1 });
    assert.deepEqual(await client.tree("sptes"), { nodes: [], total: 0, message: "Running…" });
  });

  it("without a hypervisor every view says why it is empty", async () => {
    const client = await session.onTour({ mmu: "none" });
    for (const view of VIEWS) {
      const { nodes, message } = await client.tree(view);
      assert.deepEqual(nodes, []);
      assert.match(
        message ?? "",
        /^There is no hypervisor: .*"none"\. .*start with "mmu": "shadow"/,
      );
    }
  });

  it("unknown views and nodes are no bug", async () => {
    const client = await atInvlpg();
    const refusal = await client.refused("penumbra/tree", { view: "tlbs" });
    assert.equal(refusal.message, 'There is no view "tlbs".');
    for (const view of VIEWS) {
      assert.deepEqual((await client.tree(view, { parent: "nothing/1/2" })).nodes, []);
      const { path } = await client.request<ParentsResponse>("penumbra/parents", {
        view,
        id: "nothing/1",
      });
      assert.ok(path.length <= 1);
    }
  });
});
