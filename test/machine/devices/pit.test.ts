import assert from "node:assert/strict";
import { PIT_HZ, Pit } from "../../../src/machine/devices/pit";
import { TimerQueue, timeOfPeriod } from "../../../src/machine/time";

function pit() {
  const clock = { now: 0 };
  const edges: [time: number, level: boolean][] = [];
  const timers = new TimerQueue();
  let level = false;
  const device = new Pit(
    () => clock.now,
    timers,
    (next) => {
      if (next !== level) edges.push([clock.now, next]);
      level = next;
    },
  );
  const runTo = (time: number): void => {
    while (timers.next <= time) {
      clock.now = Math.max(clock.now, timers.next);
      timers.runDue(clock.now);
    }
    clock.now = time;
  };
  const write = (port: number, value: number): void => device.write(port, 1, value);
  return { device, clock, edges, timers, runTo, write };
}

describe("interval timer", () => {
  it("raises IRQ 0 once in mode 0, when the count has run down", () => {
    const { edges, runTo, write } = pit();
    write(0x43, 0x30);
    write(0x40, 100);
    write(0x40, 0);
    runTo(1_000_000);
    const last = edges.at(-1);
    assert.deepEqual(last, [timeOfPeriod(100, PIT_HZ), true]);
  });

  it("raises IRQ 0 each period in mode 2", () => {
    const { edges, runTo, write } = pit();
    write(0x43, 0x34);
    write(0x40, 0xa9);
    write(0x40, 0x04); // 1193 clocks: 999.85 µs
    runTo(10_000_000);
    const rises = edges.filter(([time, level]) => level && time > 0);
    assert.equal(rises.length, 10);
  });

  it("latches a count that does not move while it is read", () => {
    const { device, clock, write } = pit();
    write(0x43, 0x34);
    write(0x40, 0x00);
    write(0x40, 0x80);
    clock.now = timeOfPeriod(0x123, PIT_HZ);
    write(0x43, 0x00);
    clock.now = timeOfPeriod(0x500, PIT_HZ);
    const low = device.read(0x40);
    const high = device.read(0x40);
    assert.equal((high << 8) | low, 0x8000 - 0x123);
  });

  it("shows OUT2 in port 0x61 after a gated count, as Linux calibrates the TSC", () => {
    const { device, clock, write } = pit();
    write(0x61, 0);
    write(0x43, 0xb0);
    write(0x61, 1);
    write(0x42, 0x9b);
    write(0x42, 0x2e); // 11931 clocks: 10 ms
    assert.equal(device.read(0x61) & 0x20, 0);
    clock.now = 9_990_000;
    assert.equal(device.read(0x61) & 0x20, 0);
    clock.now = 10_000_000;
    assert.equal(device.read(0x61) & 0x20, 0x20);
  });

  it("comes back from a saved state with its timer", () => {
    const { device, timers, write } = pit();
    write(0x43, 0x30);
    write(0x40, 10);
    write(0x40, 0);
    const other = pit();
    other.timers.restore(timers.save());
    other.device.restore(device.save());
    other.runTo(100_000);
    assert.deepEqual(other.edges.at(-1), [timeOfPeriod(10, PIT_HZ), true]);
  });
});
