import { replayChecking } from "../../../fuzz/paging-ops/replay";

describe("fuzz findings: ageing", () => {
  it("INV-T-03 a TLB may write to a page that was aged without A/D flags, and read since", () => {
    const setup = { mmu: "ept", mode: "PAE", backing: "hugetlb", knobs: { eptad: false } } as const;
    replayChecking({ ...setup, tlb: [100, 100], tdpMmu: false }, [
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0015000n, value: 1n },
      { op: "age", how: "clear-flush", page: 0x16, pages: 1 },
      { op: "access", vcpu: 1, kind: "write", cpl: 0, va: 0xc0241000n, value: 1n },
    ]);
  });
});
