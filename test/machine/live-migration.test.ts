import { migrate } from "./migration";

describe("live migration of a guest that forks and execs", () => {
  for (const mmu of ["shadow", "ept", "npt"] as const)
    it(`F-008 INV-D-01 ${mmu}: the copy is the guest, byte for byte`, () => migrate({ mmu }));
});
