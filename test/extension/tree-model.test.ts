import assert from "node:assert/strict";
import type { TreeArguments, TreeNode, TreeResponse } from "../../src/adapter/protocol";
import { PAGE, type Row, TreeModel } from "../../src/extension/tree-model";

type Tree = Readonly<Record<string, readonly TreeNode[]>>;

function node(id: string, more: Partial<TreeNode> = {}): TreeNode {
  const texts = { label: id, description: "", tooltip: "", spoken: id, icon: "", context: "spte" };
  return { id, children: "none", ...texts, ...more };
}

/** An adapter that answers from a table, and notes what it was asked. */
function guest(first: Tree): {
  asked: TreeArguments[];
  become(next: Tree): void;
  fetch(args: TreeArguments): Promise<TreeResponse>;
} {
  let tree = first;
  const asked: TreeArguments[] = [];
  return {
    asked,
    become(next) {
      tree = next;
    },
    async fetch(args) {
      asked.push(args);
      const all = tree[args.parent ?? ""] ?? [];
      const start = args.start ?? 0;
      return { nodes: all.slice(start, start + (args.count ?? PAGE)), total: all.length };
    },
  };
}

const ids = (rows: readonly Row[]): string[] => rows.map((row) => row.node.id);
const many = (count: number): TreeNode[] => Array.from({ length: count }, (_, i) => node(`n${i}`));

describe("TreeModel", () => {
  it("asks for one page, and ends it with a row for the rest", async () => {
    const { fetch, asked } = guest({ "": many(450) });
    const rows = await new TreeModel("sptes", fetch).children(undefined);
    assert.equal(asked.length, 1);
    assert.equal(rows.length, PAGE + 1);
    assert.equal(rows.at(-1)?.node.context, "more");
    assert.match(rows.at(-1)?.node.description ?? "", /^250 of 450/);
  });

  it("adds a page at a time until all rows are there, and keeps them over a refresh", async () => {
    const { fetch } = guest({ "": many(450) });
    const model = new TreeModel("sptes", fetch);
    for (const expected of [401, 450]) {
      const more = (await model.children(undefined)).at(-1);
      assert.ok(more);
      assert.equal(await model.showMore(more), undefined);
      assert.equal((await model.children(undefined)).length, expected);
    }
    await model.refresh();
    assert.equal((await model.children(undefined)).length, 450);
  });

  it("counts pages by the rows that are there, not by those that were dropped", async () => {
    const dropped = Array.from({ length: 3 }, (_, i) => node(`gone${i}`, { change: "dropped" }));
    const starts: (number | undefined)[] = [];
    const model = new TreeModel("sptes", async ({ start = 0, count = PAGE }) => {
      starts.push(start);
      const page = many(450).slice(start, start + count);
      return {
        nodes: [...page, ...dropped.map((d) => ({ ...d, id: `${d.id}@${start}` }))],
        total: 450,
      };
    });
    const more = (await model.children(undefined)).at(-1);
    assert.ok(more);
    await model.showMore(more);
    assert.deepEqual(starts, [0, 0, PAGE]);
    assert.ok(ids(await model.children(undefined)).includes("n399"));
  });

  it("keeps a row's identity over a refresh, so that what is open stays open", async () => {
    const before = { "": [node("a", { children: "collapsed" })], a: [node("a/0")] };
    const { fetch, become } = guest(before);
    const model = new TreeModel("shadowRoots", fetch);
    const [a] = await model.children(undefined);
    const [leaf] = await model.children(a);
    become({ ...before, a: [node("a/0", { change: "changed" }), node("a/1")] });
    assert.deepEqual(await model.refresh(), [a]);
    assert.equal((await model.children(a))[0], leaf);
    assert.equal(leaf?.node.change, "changed");
  });

  it("names just the rows that changed", async () => {
    const { fetch, become } = guest({ "": [node("a"), node("b")] });
    const model = new TreeModel("sptes", fetch);
    const [, b] = await model.children(undefined);
    assert.deepEqual(await model.refresh(), []);
    become({ "": [node("a"), node("b", { description: "W" })] });
    assert.deepEqual(await model.refresh(), [b]);
    become({ "": [node("b", { description: "W" })] });
    assert.equal(await model.refresh(), "all");
  });

  it("does not ask for the children of closed rows", async () => {
    const { fetch, asked } = guest({ "": [node("a", { children: "collapsed" })], a: many(3) });
    const model = new TreeModel("shadowRoots", fetch);
    const [a] = await model.children(undefined);
    assert.ok(a);
    await model.children(a);
    a.closed = true;
    asked.length = 0;
    await model.refresh();
    assert.deepEqual(
      asked.map(({ parent }) => parent),
      [undefined],
    );
    assert.equal((await model.children(a)).length, 3);
  });

  it("finds a row by the path of its ids, on whatever page it is", async () => {
    const { fetch } = guest({ "": [node("a", { children: "collapsed" })], a: many(450) });
    const model = new TreeModel("shadowRoots", fetch);
    const row = await model.find(["a", "n431"]);
    assert.equal(row?.node.id, "n431");
    assert.equal(row?.parent?.node.id, "a");
    assert.equal(await model.find(["a", "gone"]), undefined);
  });

  it("sends the filter with every question", async () => {
    const { fetch, asked } = guest({ "": many(3) });
    const model = new TreeModel("sptes", fetch);
    model.filter = "gpa:0x3000";
    assert.deepEqual(ids(await model.children(undefined)), ["n0", "n1", "n2"]);
    assert.equal(asked[0]?.filter, "gpa:0x3000");
  });

  it("shows the newest answer when questions overtake each other", async () => {
    const answers: ((response: TreeResponse) => void)[] = [];
    const model = new TreeModel("sptes", () => new Promise((resolve) => answers.push(resolve)));
    const first = model.children(undefined);
    model.clear();
    const second = model.children(undefined);
    answers[1]?.({ nodes: [node("new")], total: 1 });
    await second;
    answers[0]?.({ nodes: [node("old")], total: 1 });
    await first;
    assert.deepEqual(ids(await model.children(undefined)), ["new"]);
  });
});
