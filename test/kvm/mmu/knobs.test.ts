import assert from "node:assert/strict";
import { DEFAULT_KNOBS } from "../../../src/kvm/mmu/knobs";

describe("the knobs of the MMU", () => {
  it("are what the modules' parameters are unless said", () => {
    assert.deepEqual(DEFAULT_KNOBS, {
      eagerPageSplit: false,
      eptad: true,
      pml: true,
      host32: false,
      nxHugePages: false,
      nxHugePagesRecoveryRatio: 60,
    });
  });
});
