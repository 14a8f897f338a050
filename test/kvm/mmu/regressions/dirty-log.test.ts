import { replayChecking } from "../../../fuzz/paging-ops/replay";

describe("fuzz findings: the dirty log", () => {
  it("F-008 what PML has logged in a slot that moves is in the bitmap that moves with it", () => {
    replayChecking({ mmu: "ept", mode: "5-level", backing: "hugetlb", hostPhysicalBits: 52 }, [
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xff40000000215000n, value: 1n },
      { op: "slot", id: 1, base: 0x200, pages: 0x200, backing: 0x200, flags: 1 },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xff40000000218000n, value: 1n },
      { op: "slot", id: 1, base: 0x407, pages: 0x200, backing: 0x200, flags: 1 },
      { op: "dirty-log", id: 1 },
    ]);
  });
});
