import { replayChecking } from "../../../fuzz/paging-ops/replay";

describe("fuzz findings: large pages", () => {
  it("INV-R-05 a huge leaf that nx_huge_pages keeps from being executed is no violation", () => {
    replayChecking({ mode: "none", backing: "huge", knobs: { nxHugePages: true } }, [
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x13000n, value: 1n },
      { op: "access", vcpu: 0, kind: "fetch", cpl: 0, va: 0x13000n },
    ]);
  });
});
