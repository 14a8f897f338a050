import assert from "node:assert/strict";
import type { MachineOptions } from "../../src/machine";
import { GPR } from "../../src/x86";
import { LongGuest } from "./long-guest";

/** mov cr3, rax; hlt */
const CODE = [0x0f, 0x22, 0xd8, 0xf4];
const NOWHERE = 0x10000000n;

/** A guest about to load a CR3 beyond its memory. */
function guest(options: Partial<MachineOptions>): { guest: LongGuest; events: string[] } {
  const guest = new LongGuest(CODE, { mmu: "shadow", ...options });
  const events: string[] = [];
  guest.machine.trace.on("triple_fault", ({ name }) => events.push(name));
  guest.state.setGpr(GPR.rax, NOWHERE);
  return { guest, events };
}

describe("a CR3 outside the slots ends a machine of the older eras", () => {
  for (const [era, kernels] of [
    ["2010", "2.6.35 to 2.6.38"],
    ["2012", "2.6.39 to 3.6"],
  ] as const) {
    const shutdown = {
      kind: "shutdown",
      vcpu: 0,
      text: `triple fault: CR3 0x10000000 points outside the memslots, where kernels ${kernels} shut the vCPU down`,
    };

    it(`${era}: the instruction is the last, and going on is no use`, () => {
      const { guest: g, events } = guest({ era, check: true });
      assert.deepEqual(g.machine.run(100), shutdown);
      assert.deepEqual(events, ["triple_fault"]);
      assert.deepEqual([g.retired, g.state.cr3, g.exceptions], [1, NOWHERE, []]);
      assert.equal(g.machine.vcpus[0]?.activity, "shut down");
      assert.deepEqual(g.machine.ended, shutdown);
      assert.deepEqual(g.machine.step(0), shutdown);
      assert.deepEqual(events, ["triple_fault"]);
    });

    it(`${era}: the same when a debugger wrote the register, before the next instruction`, () => {
      const { guest: g, events } = guest({ era });
      g.state.cr3 = NOWHERE;
      assert.deepEqual(g.machine.step(0), shutdown);
      assert.deepEqual([g.retired, events], [0, ["triple_fault"]]);
    });

    it(`${era}: a snapshot from before runs into it again`, () => {
      const { guest: g } = guest({ era });
      const before = g.machine.save();
      g.machine.run(100);
      g.machine.restore(before);
      assert.equal(g.machine.ended, undefined);
      assert.deepEqual(g.machine.run(100), shutdown);
    });

    it(`${era}: two-dimensional paging does not look at CR3`, () => {
      const { guest: g, events } = guest({ era, mmu: "ept" });
      // The fetch walks tables that are no memory, which KVM cannot emulate.
      assert.equal(g.machine.run(100).kind, "unimplemented");
      assert.deepEqual([g.retired, events], [1, []]);
    });
  }

  it("modern: the next fetch is a page fault of the guest", () => {
    const { guest: g, events } = guest({ era: "modern" });
    assert.equal(g.machine.run(100).kind, "event");
    assert.deepEqual([g.exceptions[0]?.vector, events], [14, []]);
  });
});
