import assert from "node:assert/strict";
import type { TreeNode, ViewName } from "../../src/adapter";
import type { Client } from "./client";
import { eachWithClient } from "./tour";

const VIEWS: readonly ViewName[] = ["shadowRoots", "sptes", "unsync", "memslots"];

/** Opens a view to the last entry. */
async function open(client: Client, view: ViewName, parent?: string): Promise<readonly TreeNode[]> {
  const { nodes } = await client.tree(view, parent === undefined ? {} : { parent });
  const below: TreeNode[] = [];
  for (const node of nodes)
    if (node.children !== "none") below.push(...(await open(client, view, node.id)));
  return [...nodes, ...below];
}

/** Opens every scope of every frame, and what is in it, two levels deep. */
async function openScopes(client: Client): Promise<void> {
  for (const { id } of await client.stack()) {
    const { scopes } = await client.request<{ scopes: { variablesReference: number }[] }>(
      "scopes",
      { frameId: id },
    );
    for (const { variablesReference } of scopes)
      for (const row of await client.variables(variablesReference))
        if (row.variablesReference > 0) await client.variables(row.variablesReference);
  }
}

const EXPRESSIONS = [
  "walk($rip)",
  "walk(0x40277000)",
  "swalk(0x40277000)",
  "spte(0x40277000)",
  "spte($rip).w",
  "gpte(0x40277000, 1)",
  "hpa(0x40277000)",
  "hva($rsp)",
  "rmap(gpa($rip))",
  "roots()",
  "unsync()",
  "slot(gpa:0)",
  "dirty(slot(gpa:0).id)",
  "u64(0x40000000)",
  "u32(gpa:0xfee00020)",
  "*kernel_root",
  "sym($rip)",
];

describe("an access by the debugger", () => {
  const session = eachWithClient();

  for (const mmu of ["shadow", "ept", "npt", "none"])
    it(`changes nothing in the guest (mmu: ${mmu})`, async () => {
      const client = await session.onTour({ mmu });
      await client.lines(
        (await client.stack())[0]?.source?.path?.replace("boot.S", "stale-translation.c") ?? "",
        31,
      );
      await client.go();
      assert.match(await client.where(), /^stale-translation\.c:31 /);
      let heard = 0;
      const before = client.machine.save();
      const deaf = client.machine.trace.on("*", () => {
        heard++;
      });
      for (const view of VIEWS) await open(client, view);
      await client.tree("sptes", { filter: "0x40277000" });
      await openScopes(client);
      for (const expression of EXPRESSIONS)
        for (const context of ["watch", "hover", "repl"])
          await client
            .request("evaluate", { expression, context })
            .catch((problem: Error) => assert.match(problem.message, /\S/));
      for (const space of ["gva", "gpa", "hva", "hpa"])
        for (const at of [
          "0x0",
          "0x100000",
          "0x40000000",
          "0x40277000",
          "0xfee00000",
          "0xfffff000",
        ])
          await client.read(`${space}:${at}`, 0x1000);
      for (const at of [
        "0x40277000",
        "0x100000",
        (await client.stack())[0]?.instructionPointerReference,
      ])
        await client.request("disassemble", {
          memoryReference: at,
          instructionCount: 200,
          instructionOffset: -100,
        });
      await client.request("exceptionInfo").catch(() => undefined);
      await client.request("threads");
      await client.request("completions", { text: "gpa(", column: 5 });
      deaf();
      assert.equal(heard, 0, "no event");
      assert.deepEqual(client.machine.save(), before);
    });
});
