import assert from "node:assert/strict";
import { performHostAction } from "../../src/host";
import { CR0 } from "../../src/x86";
import { assertContinues, type Step } from "./continues";
import { Guest } from "./guest";
import { touchedGuest } from "./tables";

/** A run that meets most of the MMU: unsync, sync, emulation, mmio, two roots, WP, host events, modes. */
const SCRIPT: readonly Step<Guest>[] = [
  (g) => g.entry(0x4030, 0x4067).entry(0x4038, 0x3067).entry(0x4040, 0xd0000067),
  (g) => g.write(0, 0x6028, 0xb067),
  (g) => g.read(0, 0x8000),
  (g) => g.write(0, 0x7010, 0x5067),
  (g) => g.entry(0xa000, 0x2027).movCr3(0xa000),
  (g) => g.read(3, 0x5000),
  (g) => g.write(0, 0x6048, 0xc067),
  (g) => g.invlpg(0x5000),
  (g) => performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(0xb as never)),
  (g) => g.read(3, 0x5000),
  (g) => g.movCr0(g.cpu.cr0 & ~CR0.WP),
  (g) => g.write(0, 0x9000, 7),
  (g) => g.movCr3(0x1000),
  (g) => g.write(0, 0x6028, 0xe067),
  (g) => g.setSlot(3, 0x9000, 0x10, 0x7f0000000000),
  (g) => g.read(3, 0x5000),
  (g) => g.entry32(0x20000, 0x21067).entry32(0x21014, 0x9067).mode("32-bit", 0x20000),
  (g) => g.write(3, 0x5000, 1, 4),
  (g) => g.entry(0x22000, 0x23001).entry(0x23000, 0x24067).entry(0x24028, 0x9067),
  (g) => g.mode("PAE", 0x22000),
  // PAE paging does not look at memory again: what it loaded is part of the state.
  (g) => g.entry(0x22000, 0),
  (g) => assert.equal(g.write(3, 0x5000, 2).kind, "ok"),
  (g) => g.movCr0(g.cpu.cr0 | CR0.WP),
];

describe("save and restore", () => {
  it("F-017 a run that is stopped, restored into another machine and continued ends the same", function () {
    this.timeout(30_000);
    for (let half = 1; half < SCRIPT.length; half += 2)
      assertContinues(SCRIPT, half, touchedGuest, () => new Guest().enter());
  });
});
