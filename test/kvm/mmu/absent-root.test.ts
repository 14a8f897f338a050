import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { OF_2010, OF_2012 } from "../../../src/kvm";
import { gfn } from "../../../src/x86";
import { checked } from "../checked";
import { Guest } from "../guest";
import { firstGuest, touchedGuest } from "../tables";

/** Beyond the 16 MiB of slot 0. */
const NOWHERE = 0x8000000;
const SHUT_DOWN = { kind: "user-exit", reason: "SHUTDOWN" };

for (const profile of [OF_2010, OF_2012]) {
  const { era, kernels } = profile;
  const options = { ...checked, profile };

  describe(`a root outside the slots in ${era}`, () => {
    it("mov cr3 shuts the vCPU down: it runs no more, and holds no page", () => {
      const g = touchedGuest(options);
      const exits: unknown[] = [];
      g.vm.onUserExit = (...exit) => exits.push(exit);
      g.movCr3(NOWHERE);
      assert.deepEqual(exits, [[0, "SHUTDOWN"]]);
      assert.equal(
        g.vcpu.tripleFault,
        `triple fault: CR3 0x8000000 points outside the memslots, where kernels ${kernels} shut the vCPU down`,
      );
      assert.deepEqual(g.events(["kvm_entry", "root_load"]), []);
      assert.deepEqual(g.read(3, 0x5000), SHUT_DOWN);
      assert.equal(g.vm.pagesOf(gfn(1))[0]?.rootCount, 0);
    });

    it("a slot that comes after all lets a vCPU in that userspace enters again", () => {
      const g = touchedGuest(options);
      g.movCr3(NOWHERE);
      assert.equal(g.setSlot(1, NOWHERE / 4096, 0x10, GUEST_HVA), "create");
      g.vcpu.enter();
      assert.deepEqual([g.vcpu.userExit, g.vcpu.tripleFault], [undefined, undefined]);
    });

    it("a 32-bit directory outside the slots does the same", () => {
      const g = new Guest(options).entry32(0x1004, 0x2067).start("32-bit", 0x1000);
      g.movCr3(NOWHERE);
      assert.deepEqual(g.read(3, 0x400000, 4), SHUT_DOWN);
    });

    it("under PAE paging a PDPTE outside the slots does, and no root is left half built", () => {
      const g = new Guest(options).entry(0x1020, 0x2001).entry(0x1028, NOWHERE + 1);
      g.start("PAE", 0x1020);
      assert.match(g.vcpu.tripleFault ?? "", /^triple fault: PDPTE 1 0x8000001 points outside/);
      assert.deepEqual(g.read(3, 0x5000), SHUT_DOWN);
      assert.equal(g.vm.usedPages, 0);
    });
  });
}

it("F-065 in the modern era a PDPTE outside the slots is absent, and CR3 gives a dummy root", () => {
  const pae = new Guest(checked).entry(0x1020, 0x2001).entry(0x1028, NOWHERE + 1);
  pae.start("PAE", 0x1020);
  assert.equal(pae.read(3, 0x40000000).kind, "fault");
  const long = firstGuest(checked).enter().movCr3(NOWHERE);
  assert.deepEqual([long.vcpu.userExit, long.vcpu.mmu.root.kind], [undefined, "dummy"]);
});
