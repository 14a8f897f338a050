import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { eachWithClient } from "./tour";

describe("scopes and variables", () => {
  const session = eachWithClient();

  const named = (variables: readonly DebugProtocol.Variable[], name: string) => {
    const found = variables.find((v) => v.name === name);
    assert.ok(found, `no ${name} among ${variables.map((v) => v.name).join(" ")}`);
    return found;
  };

  it("a frame has locals, registers, the system's, paging and the shadow MMU", async () => {
    const client = await session.onTour();
    await client.runTo("two_address_spaces");
    const scopes = await client.scopes();
    assert.deepEqual(
      scopes.map((s) => `${s.name}${s.expensive ? " (expensive)" : ""}`),
      ["Locals", "Registers", "System", "Paging", "Shadow MMU (expensive)"],
    );
    assert.equal(named(await client.scope("Registers"), "rip").evaluateName, "$rip");
    assert.match(named(await client.scope("System"), "cr0").value, /^0x\w+ .*\bPG\b/);
    assert.match(named(await client.scope("Paging"), "walk of rip").value, /gpa:0x/);
    assert.match(named(await client.scope("Shadow MMU"), "roots").value, /./);
    assert.ok((await client.scope("Locals")).length > 0);
  });

  it("without a hypervisor there is no shadow MMU to show", async () => {
    const client = await session.onTour({ mmu: "none" });
    assert.ok(!(await client.scopes()).some((s) => s.name === "Shadow MMU"));
  });

  it("each variable's expression gives that variable", async () => {
    const client = await session.onTour();
    await client.runTo("two_address_spaces");
    for (const scope of await client.scopes())
      for (const row of await client.variables(scope.variablesReference)) {
        if (!row.evaluateName || scope.name === "Locals") continue;
        assert.equal(await client.evaluate(row.evaluateName), row.value, row.evaluateName);
        if (row.variablesReference === 0) continue;
        for (const part of await client.variables(row.variablesReference, { count: 3 }))
          if (part.evaluateName)
            assert.equal(await client.evaluate(part.evaluateName), part.value, part.evaluateName);
      }
  });

  it("parts come in the range that was asked for", async () => {
    const client = await session.onTour();
    await client.runTo("two_address_spaces");
    const walk = await client.evaluated("walk($rip).steps");
    assert.equal(walk.indexedVariables, 4);
    const names = async (more: object) =>
      (await client.variables(walk.variablesReference, more)).map((v) => v.name);
    assert.deepEqual(await names({}), ["[0]", "[1]", "[2]", "[3]"]);
    assert.deepEqual(await names({ start: 1, count: 2 }), ["[1]", "[2]"]);
    assert.deepEqual(await names({ start: 3, count: 100 }), ["[3]"]);
    assert.deepEqual(await names({ start: 9, count: 2 }), []);
    const registers = (await client.scopes()).find((s) => s.name === "Registers");
    const some = await client.variables(registers?.variablesReference ?? 0, { start: 1, count: 2 });
    assert.equal(some.length, 2);
  });

  it("numbers are hexadecimal for a client that asks", async () => {
    const client = await session.onTour();
    await client.runTo("two_address_spaces");
    assert.equal((await client.evaluated("10 + 6", { format: { hex: true } })).result, "0x10");
    const list = await client.evaluated("walk($rip).steps[0]");
    const parts = await client.variables(list.variablesReference, { format: { hex: true } });
    assert.match(named(parts, "level").value, /^0x4$|^none/);
  });

  it("references of an earlier stop are refused", async () => {
    const client = await session.onTour();
    const [top] = await client.stack();
    const [scope] = await client.scopes();
    await client.step("stepIn", "instruction");
    const stale = "That value belongs to an earlier stop; open the scope again.";
    const asked: readonly (readonly [string, object])[] = [
      ["variables", { variablesReference: scope?.variablesReference }],
      ["scopes", { frameId: top?.id }],
      ["evaluate", { expression: "1", frameId: top?.id }],
      ["completions", { text: "", column: 1, frameId: top?.id }],
      ["setVariable", { variablesReference: scope?.variablesReference, name: "rax", value: "1" }],
    ];
    for (const [command, args] of asked)
      assert.equal((await client.refused(command, args)).message, stale, command);
  });

  describe("setting", () => {
    async function reference(scope: string): Promise<number> {
      const found = (await session.client.scopes()).find((s) => s.name === scope);
      return found?.variablesReference ?? 0;
    }
    const set = async (name: string, value: string, scope = "Registers") =>
      session.client.request<DebugProtocol.SetVariableResponse["body"]>("setVariable", {
        variablesReference: await reference(scope),
        name,
        value,
      });
    const refused = async (name: string, value: string, scope = "Registers") =>
      (
        await session.client.refused("setVariable", {
          variablesReference: await reference(scope),
          name,
          value,
        })
      ).message;

    it("a register takes any number, and the guest has it", async () => {
      const client = await session.onTour();
      assert.equal((await set("rax", "0x1234 + 1")).value, "0x1235");
      assert.equal(await client.evaluate("$rax"), "0x1235");
      assert.equal((await set("rbx", "-1")).value, "0xffffffffffffffff");
      assert.equal(client.machine.vcpus[0]?.state.gpr(3), 0xffff_ffff_ffff_ffffn);
      assert.match((await set("rip", "&long_mode")).value, /long_mode/);
      assert.match(await client.where(), / long_mode$/);
    });

    it("what cannot be set is refused with the reason", async () => {
      await session.onTour();
      assert.match(
        await refused("cr3", "0", "System"),
        /^cr3 cannot be set: a change of it has effects only/,
      );
      assert.match(await refused("rax", "1 +"), /\(column \d+\)$/);
      assert.match(await refused("rax", '"text"'), /is not a number, so rax stays as it was\.$/);
      assert.match(await refused("cs", "8"), /^cs cannot be set/);
      assert.match(await refused("nothing", "8"), /^"nothing" cannot be set here/);
      assert.match(
        await refused("roots", "8", "Shadow MMU"),
        /^"roots" cannot be set here; write its bytes/,
      );
    });

    it("the registers of a caller are not set", async () => {
      const client = await session.onTour();
      await client.runTo("demand_paging");
      const [, caller] = await client.stack();
      const { scopes } = await client.request<DebugProtocol.ScopesResponse["body"]>("scopes", {
        frameId: caller?.id,
      });
      const registers = scopes.find((s) => s.name === "Registers");
      const refusal = await client.refused("setVariable", {
        variablesReference: registers?.variablesReference,
        name: "rbx",
        value: "1",
      });
      assert.match(
        refusal.message,
        /^rbx of a caller is worked out from its stack; set it in the innermost/,
      );
    });
  });
});
