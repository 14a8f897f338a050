import assert from "node:assert/strict";
import { CR0, FLAG, S, SEG } from "../../../../src/x86/cpu/layout";
import { AT, BootMachine } from "./boot-machine";
import { LEGACY_TOUR, LONG_TOUR } from "./boot-programs";

/** IA-32e TSS: RSP0 at 4, IST1 at 24h. */
function longTour(): BootMachine {
  const machine = new BootMachine(LONG_TOUR);
  machine.setU64(AT.tss + 4, BigInt(AT.stack0));
  machine.setU64(AT.tss + 0x24, BigInt(AT.ist1));
  machine.setGate(6, "badop", 16);
  machine.setGate(8, "dfault", 16, { ist: 1 });
  machine.setGate(13, "prot", 16);
  machine.setGate(14, "pagef", 16);
  machine.setGate(0x80, "soft", 16, { dpl: 3 });
  machine.setGate(0x81, "final", 16, { dpl: 3 });
  return machine;
}

/** 32-bit TSS: ESP0 at 4, SS0 at 8. */
function legacyTour(): BootMachine {
  const machine = new BootMachine(LEGACY_TOUR);
  machine.setU32(AT.tss + 4, AT.stack0);
  machine.setU32(AT.tss + 8, 0x10);
  machine.setGate(13, "prot", 8);
  machine.setGate(0x80, "soft", 8, { dpl: 3 });
  machine.setCallGate("gate");
  return machine;
}

/** What the long tour logs, up to the double fault. */
const LONG_LOG = [
  [0x32, "32-bit code"],
  [0x64, "64-bit code"],
  [0x05, "SYSCALL"],
  [0x01, "with its number"],
  [0x80, "INT 80h"],
  [0x00, "on a null SS"],
  [0x06, "#UD"],
  [0x0d, "#GP of HLT at level 3"],
  [0x0e, "#PF"],
  [0x04, "user read of an absent page"],
  [0x81, "INT 81h"],
  [0x08, "#DF"],
] as const;

describe("system code through the engine", () => {
  before("the interpreter is generated", function () {
    this.timeout(60_000);
    longTour();
  });

  it("long mode: every gate and way back works, up to the triple fault", () => {
    const machine = longTour();
    const result = machine.run(10_000);
    const expected = LONG_LOG.map(([code]) => code);
    assert.deepEqual(machine.log(expected.length), expected);
    assert.equal(result.why, "shutdown");
    assert.equal(machine.state.u32(S.activity), 3);
    assert.equal(machine.u64(0x9500), BigInt(AT.ist1 - 48), "#DF came on its IST stack");
    assert.equal(machine.state.cr2, 0x1ffff8n);
    assert.equal(machine.state.rip, BigInt(machine.at("gdtr") - 1), "RIP of the INT3");
  });

  it("long mode, one instruction at a time, is the same run", () => {
    const whole = longTour();
    const total = whole.run(10_000).retired;
    const stepped = longTour();
    let retired = 0;
    for (let n = 0; n < 1000; n++) {
      const step = stepped.run(1);
      assert.ok(step.retired <= 1);
      retired += step.retired;
      if (step.why === "shutdown") break;
    }
    assert.equal(retired, total);
    assert.equal(stepped.state.rip, whole.state.rip);
    assert.deepEqual(stepped.log(16), whole.log(16));
  });

  it("legacy mode: level 3, a call gate and virtual-8086 mode", () => {
    const machine = legacyTour();
    assert.equal(machine.run(10_000).why, "budget");
    assert.deepEqual(
      machine.log(15),
      [0x33, 0x80, 0x2b, 0x0d, 0x10, 0xca, 0x18, 0x86, 0, 0x34, 0x12, 0x86, 0, 0x34, 0x12],
    );
    assert.equal(machine.state.rip, BigInt(machine.at("spin")));
    assert.equal(machine.state.cpl, 0);
    assert.equal(machine.state.segment(SEG.fs).unusable, true, "data segments of V86 are gone");
  });

  it("after the switch to long mode the registers say so", () => {
    const machine = longTour();
    while (machine.state.rip !== BigInt(machine.at("user"))) {
      assert.equal(machine.run(1).why, "budget");
    }
    const { state } = machine;
    assert.ok(state.cr0 & CR0.PG);
    assert.deepEqual([state.longMode, state.code64, state.cpl], [true, true, 3]);
    assert.equal(state.rflags, 0x3202n);
    assert.equal(state.rflags & FLAG.IOPL, FLAG.IOPL);
  });
});
