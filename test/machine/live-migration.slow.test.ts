import { MANUAL_PROTECT } from "../../src/kvm";
import type { MachineOptions } from "../../src/machine";
import { migrate } from "./migration";

const WAYS: readonly (readonly [name: string, options: Partial<MachineOptions>])[] = [
  ["shadow", { mmu: "shadow" }],
  [
    "shadow over huge pages, split eagerly",
    { mmu: "shadow", backing: "thp", kvm: { eagerPageSplit: true } },
  ],
  ["shadow of 2010", { mmu: "shadow", era: "2010" }],
  ["shadow of 2012", { mmu: "shadow", era: "2012" }],
  ["ept with PML", { mmu: "ept" }],
  ["ept with PML over huge pages", { mmu: "ept", backing: "thp" }],
  ["ept without PML", { mmu: "ept", kvm: { pml: false } }],
  ["ept without A/D bits", { mmu: "ept", kvm: { eptad: false } }],
  ["ept without the TDP MMU", { mmu: "ept", tdpMmu: false }],
  ["npt", { mmu: "npt" }],
  ["npt over huge pages without the TDP MMU", { mmu: "npt", backing: "thp", tdpMmu: false }],
];
const PROTECT: readonly (readonly [name: string, flags: number])[] = [
  ["protected as the log is taken", 0],
  ["protected by hand", MANUAL_PROTECT.enable],
  ["all dirty at first", MANUAL_PROTECT.enable | MANUAL_PROTECT.initiallySet],
];

describe("live migration in every way there is", () => {
  for (const [name, options] of WAYS)
    for (const [how, flags] of PROTECT) {
      if (options.era && flags) continue;
      it(`F-008 INV-D-01 ${name}, ${how}: the copy is the guest, byte for byte`, function () {
        this.timeout(60_000);
        migrate(options, flags);
      });
    }
});
