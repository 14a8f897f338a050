import assert from "node:assert/strict";
import { APIC } from "../../../src/machine/devices/apic-message";
import { Interrupts } from "../../../src/machine/devices/interrupts";
import type { LocalApic } from "../../../src/machine/devices/local-apic";
import { TimerQueue } from "../../../src/machine/time";

function controllers(vcpus = 2) {
  const clock = { now: 0 };
  const signals: string[] = [];
  const timers = new TimerQueue();
  const interrupts = new Interrupts(vcpus, timers, {
    now: () => clock.now,
    tscOffset: () => 0n,
    changed: () => {},
    nmi: (vcpu) => signals.push(`nmi ${vcpu}`),
    init: (vcpu) => signals.push(`init ${vcpu}`),
    startup: (vcpu, vector) => signals.push(`startup ${vcpu} ${vector}`),
  });
  // The PIC's inputs are open as firmware leaves them; these tests are not about it.
  interrupts.pic.write(0x21, 1, 0xff);
  interrupts.pic.write(0xa1, 1, 0xff);
  const apic = (id: number): LocalApic => {
    const found = interrupts.apics[id];
    if (!found) throw new Error("no such APIC");
    return found;
  };
  for (const { id } of interrupts.apics) apic(id).writeMmio(APIC.svr, 4, 0x1ff);
  const at = (time: number): void => {
    clock.now = time;
    timers.runDue(time);
  };
  return { interrupts, apic, signals, clock, timers, at };
}

const X2APIC = 0xfee00c00n;

describe("interrupt controllers", () => {
  it("an IPI waits for its class to rise above the task priority", () => {
    const { interrupts, apic } = controllers();
    apic(1).taskPriority = 0x50;
    apic(0).writeMmio(APIC.icrHigh, 4, 1 << 24);
    apic(0).writeMmio(APIC.icrLow, 4, 0x45);
    assert.equal(interrupts.pending(1), false);
    apic(1).taskPriority = 0x30;
    assert.equal(interrupts.pending(1), true);
    assert.equal(interrupts.acknowledge(1), 0x45);
    assert.equal(apic(1).readMmio(APIC.ppr, 4), 0x40);
    apic(1).writeMmio(APIC.eoi, 4, 0);
    assert.equal(apic(1).readMmio(APIC.ppr, 4), 0x30);
  });

  it("INIT and SIPI by the all-but-self shorthand reach the others; INIT de-assert is ignored", () => {
    const { apic, signals } = controllers(3);
    apic(0).writeMmio(APIC.icrLow, 4, 0xc4500);
    apic(0).writeMmio(APIC.icrLow, 4, 0xc8500);
    apic(0).writeMmio(APIC.icrLow, 4, 0xc4608);
    assert.deepEqual(signals, ["init 1", "init 2", "startup 1 8", "startup 2 8"]);
  });

  it("a one-shot timer fires once and never early", () => {
    const { interrupts, apic, at } = controllers(1);
    apic(0).writeMmio(APIC.divide, 4, 0b1011);
    apic(0).writeMmio(APIC.lvtTimer, 4, 0x40);
    apic(0).writeMmio(APIC.initialCount, 4, 1000);
    at(999);
    assert.equal(interrupts.pending(0), false);
    assert.equal(apic(0).readMmio(APIC.currentCount, 4), 1);
    at(1000);
    assert.equal(interrupts.acknowledge(0), 0x40);
    apic(0).writeMmio(APIC.eoi, 4, 0);
    at(5000);
    assert.equal(interrupts.pending(0), false);
  });

  it("a periodic timer fires each period", () => {
    const { interrupts, apic, at } = controllers(1);
    apic(0).writeMmio(APIC.divide, 4, 0); // by 2
    apic(0).writeMmio(APIC.lvtTimer, 4, 0x20040);
    apic(0).writeMmio(APIC.initialCount, 4, 50);
    for (const time of [100, 200, 300]) {
      at(time);
      assert.equal(interrupts.acknowledge(0), 0x40, `at ${time}`);
      apic(0).writeMmio(APIC.eoi, 4, 0);
    }
  });

  it("a TSC deadline fires when it is reached and then reads 0", () => {
    const { interrupts, apic, at } = controllers(1);
    apic(0).writeMmio(APIC.lvtTimer, 4, 0x40040);
    apic(0).timer.tscDeadline = 700n;
    assert.equal(apic(0).timer.tscDeadline, 700n);
    at(699);
    assert.equal(interrupts.pending(0), false);
    at(700);
    assert.equal(interrupts.pending(0), true);
    assert.equal(apic(0).timer.tscDeadline, 0n);
  });

  it("the base register allows only the steps of the manual", () => {
    const { apic } = controllers(1);
    assert.equal(apic(0).writeBase(0xfee00400n), false);
    assert.equal(apic(0).writeBase(X2APIC), true);
    assert.equal(apic(0).writeBase(0xfee00800n), false);
    assert.equal(apic(0).writeBase(0xfee00000n), true);
    assert.equal(apic(0).writeBase(X2APIC), false);
  });

  it("x2APIC registers refuse reserved bits, read-only and absent registers", () => {
    const { apic, interrupts } = controllers(1);
    assert.equal(apic(0).readMsr(0x802), undefined);
    apic(0).writeBase(X2APIC);
    apic(0).writeMsr(0x80f, 0x1ffn);
    assert.equal(apic(0).readMsr(0x802), 0n);
    assert.equal(apic(0).readMsr(0x80e), undefined);
    assert.equal(apic(0).writeMsr(0x803, 0n), false);
    assert.equal(apic(0).writeMsr(0x808, 0x100n), false);
    assert.equal(apic(0).writeMsr(0x83f, 0x51n), true);
    assert.equal(interrupts.acknowledge(0), 0x51);
    assert.equal(apic(0).writeMsr(0x80b, 1n), false);
    assert.equal(apic(0).writeMsr(0x80b, 0n), true);
  });

  it("the PIC reaches the boot processor through LINT0, and no other", () => {
    const { interrupts } = controllers(2);
    for (const [port, value] of [
      [0x20, 0x11],
      [0x21, 0x30],
      [0x21, 4],
      [0x21, 1],
      [0x21, 0],
    ] as const)
      interrupts.pic.write(port, 1, value);
    interrupts.apics[0]?.reset();
    interrupts.setIrq(0, true);
    assert.equal(interrupts.pending(0), true);
    assert.equal(interrupts.pending(1), false);
    assert.equal(interrupts.acknowledge(0), 0x30);
  });

  it("a level input of the I/O APIC delivers again after EOI while it is high", () => {
    const { interrupts, apic } = controllers(1);
    const { ioApic } = interrupts;
    ioApic.writeMmio(0, 4, 0x10 + 2 * 9);
    ioApic.writeMmio(0x10, 4, 0x8061);
    interrupts.setGsi(9, true);
    assert.equal(interrupts.acknowledge(0), 0x61);
    assert.equal((ioApic.readMmio(0x10) >> 14) & 1, 1);
    assert.equal(interrupts.pending(0), false);
    apic(0).writeMmio(APIC.eoi, 4, 0);
    assert.equal(interrupts.acknowledge(0), 0x61);
    interrupts.setGsi(9, false);
    apic(0).writeMmio(APIC.eoi, 4, 0);
    assert.equal(interrupts.pending(0), false);
  });

  it("an edge at a masked input of the I/O APIC is lost", () => {
    const { interrupts } = controllers(1);
    const { ioApic } = interrupts;
    interrupts.setGsi(20, true);
    ioApic.writeMmio(0, 4, 0x10 + 2 * 20);
    ioApic.writeMmio(0x10, 4, 0x62);
    assert.equal(interrupts.pending(0), false);
    interrupts.setGsi(20, false);
    interrupts.setGsi(20, true);
    assert.equal(interrupts.pending(0), true);
  });

  it("a local APIC comes back from a saved state", () => {
    const one = controllers(1);
    one.apic(0).writeMmio(APIC.lvtTimer, 4, 0x40);
    one.apic(0).writeMmio(APIC.initialCount, 4, 500);
    const other = controllers(1);
    other.timers.restore(one.timers.save());
    other.apic(0).restore(one.apic(0).save());
    other.at(1000);
    assert.equal(other.interrupts.acknowledge(0), 0x40);
  });
});
