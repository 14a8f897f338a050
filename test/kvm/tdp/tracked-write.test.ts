import assert from "node:assert/strict";
import { ACCESS, CR0, PAGE_SIZE } from "../../../src/x86";
import { Guest } from "../guest";
import type { ScriptedVcpu } from "../scripted-vcpu";

/** A vCPU that does not page, in the guest. */
function flat(actor: ScriptedVcpu): ScriptedVcpu {
  actor.cpu.cr0 = CR0.PE;
  actor.cpu.efer = 0n;
  actor.vcpu.eferWritten(0n, 0n);
  actor.vcpu.enter();
  return actor;
}

for (const tdpMmu of [true, false])
  describe(`a writable TLB entry over a leaf that was aged without A bits, ${tdpMmu ? "TDP MMU" : "shadow pages"}`, () => {
    it("F-155 INV-T-03 is legal as long as the leaf is MMU-writable", () => {
      const g = new Guest({ paging: "ept", tdpMmu, knobs: { eptad: false } });
      flat(g.first);
      const other = flat(g.addVcpu());
      assert.equal(g.first.access(0, 0x9000n, ACCESS.write, 1n).kind, "ok");
      const start = g.vm.slots[0]!.hvaOf(9 as never);
      const range = { start, end: (start + PAGE_SIZE) as typeof start };
      assert.equal(g.process.notifiers.clearYoung(range), true);
      assert.deepEqual(g.vm.check(), []);
      // Gives R and X back, W only to a write.
      assert.equal(other.access(0, 0x9000n, 0, 0n).kind, "ok");
      const [leaf] = g.vm.leavesOf(9 as never);
      assert.equal(g.vm.words[2 * leaf!]! & 7, 5);
      assert.deepEqual(g.vm.check(), []);
    });
  });
