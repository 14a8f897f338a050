import assert from "node:assert/strict";
import { checkSynced } from "../../src/kvm";
import type { Guest, GuestOptions } from "./guest";

/** Options of a guest whose every step is followed by all invariants. */
export const checked: GuestOptions = {
  check(guest: Guest, step: string): void {
    guest.vm.core.state.writeLog ??= [];
    // What holds at entry holds when all requests are served, and there is a root.
    const { requests, root } = guest.vcpu.mmu;
    const entering = requests === 0 && root.kind !== "none" ? guest.vcpu : undefined;
    assert.deepEqual(guest.vm.check(entering), [], `after ${step}`);
    guest.vm.core.state.writeLog = [];
    if (step.startsWith("mov cr3") && !step.endsWith("without a flush"))
      assert.deepEqual(checkSynced(guest.vm.core.state, guest.vcpu.mmu), [], `after ${step}`);
  },
};
