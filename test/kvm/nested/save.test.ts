import { performHostAction } from "../../../src/host";
import { CR0, CR4, EFER, gfn } from "../../../src/x86";
import { assertContinues, type Step } from "../continues";
import { type NestedGuest, nestedGuest } from "./nested-guest";

const LONG = { cr0: CR0.PE | CR0.PG | CR0.WP, cr4: CR4.PAE, efer: EFER.LMA | EFER.LME | EFER.NX };
const PAE = { ncr3: 0x30000, hcr0: LONG.cr0, hcr4: CR4.PAE, l1Efer: EFER.NX };

/** L2 and L1 in turns, through tables of four levels and of three, with exits, unsync tables and host events. */
const SCRIPT: readonly Step<NestedGuest>[] = [
  (g) => g.entry(0x30000, 0x31001).entry(0x31000, 0x23007),
  (g) => g.enterL2(),
  (g) => g.write(0, 0x5000, 1),
  (g) => g.leaveL2(),
  (g) => g.write(0, 0x23030, 0xa067),
  (g) => g.enterL2(),
  (g) => g.read(0, 0x7000),
  (g) => g.leaveL2(),
  (g) => g.enterL2(PAE),
  (g) => g.write(0, 0x6000, 2),
  (g) => performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(9))),
  (g) => g.read(0, 0x5000),
  (g) => g.leaveL2(),
  (g) => g.write(0, 0x22008, 0x24007),
  (g) => g.enterL2({ flush: true }),
  (g) => g.write(0, 0x6008, 3),
  (g) => g.setSlot(3, 0x9000, 0x10, 0x7f0000000000),
  (g) => g.setSlot(3, 0x9000, 0, 0x7f0000000000),
  (g) => g.read(0, 0x6008),
];

describe("save and restore of a nested guest", () => {
  it("F-035 a run that is restored into another machine and continued ends the same", function () {
    this.timeout(30_000);
    for (let half = 1; half < SCRIPT.length; half++) assertContinues(SCRIPT, half, nestedGuest);
  });
});
