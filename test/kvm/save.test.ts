import assert from "node:assert/strict";
import { performHostAction } from "../../src/host";
import { CR0 } from "../../src/x86";
import { Guest } from "./guest";
import { touchedGuest } from "./tables";

/** A run that meets most of the MMU: unsync, sync, emulation, mmio, two roots, WP, host events, modes. */
const SCRIPT: readonly ((g: Guest) => unknown)[] = [
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

const registers = (g: Guest) => {
  const { cr0, cr3, cr4, efer, cpl, ac } = g.cpu;
  return { cr0, cr3, cr4, efer, cpl, ac };
};
const everything = (g: Guest) => ({
  vm: g.vm.save(),
  process: g.process.save(),
  host: g.host.save(),
  registers: registers(g),
  tlb: [...g.cpu.tlb],
});

describe("save and restore", () => {
  it("F-017 a run that is stopped, restored into another machine and continued ends the same", function () {
    this.timeout(30_000);
    for (let half = 1; half < SCRIPT.length; half += 2) {
      const whole = touchedGuest();
      for (const step of SCRIPT) step(whole);

      const first = touchedGuest();
      for (const step of SCRIPT.slice(0, half)) step(first);
      const saved = structuredClone(everything(first));

      const second = new Guest();
      second.enter();
      second.process.restore(saved.process);
      second.host.restore(saved.host);
      Object.assign(second.cpu, saved.registers);
      second.vm.restore(saved.vm);
      second.cpu.tlb.clear();
      for (const [key, entry] of saved.tlb) second.cpu.tlb.set(key, entry);
      assert.deepEqual(second.vm.check(second.vcpu), [], `restored after ${half} steps`);
      for (const step of SCRIPT.slice(half)) step(second);
      assert.deepEqual(everything(second), everything(whole), `continued after ${half} steps`);
    }
  });
});
