import { replayChecking } from "../../../fuzz/paging-ops/replay";

describe("fuzz findings: guest modes", () => {
  it("a 32-bit guest whose CR3 lies in no slot faults, and nothing else", () => {
    replayChecking({ mode: "PAE" }, [
      { op: "slot", id: 1, base: 0x407, pages: 0x200, backing: 0x200, flags: 0 },
      { op: "mode", vcpu: 0, mode: "32-bit", cr3: 0x210000n },
      { op: "access", vcpu: 0, kind: "read", cpl: 0, va: 0xc0215000n },
    ]);
  });
});
