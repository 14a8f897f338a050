import assert from "node:assert/strict";
import fc from "fast-check";
import { periodsAt, TimerQueue, timeOfPeriod } from "../../src/machine/time";

describe("virtual time", () => {
  it("an oscillator's period ends at the first nanosecond that shows it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e12 }),
        fc.constantFrom(1_193_182, 3_579_545),
        (n, hz) => {
          const time = timeOfPeriod(n, hz);
          return periodsAt(time, hz) >= n && periodsAt(time - 1, hz) < n;
        },
      ),
    );
  });

  it("timers fire by time, then in the order in which they were armed", () => {
    const queue = new TimerQueue();
    const fired: string[] = [];
    const timers = ["a", "b", "c"].map((name) => queue.create(name, () => fired.push(name)));
    timers[2]?.arm(5);
    timers[0]?.arm(9);
    timers[1]?.arm(5);
    assert.equal(queue.next, 5);
    queue.runDue(4);
    assert.deepEqual(fired, []);
    queue.runDue(9);
    assert.deepEqual(fired, ["c", "b", "a"]);
    assert.equal(queue.next, Infinity);
  });

  it("a timer that arms itself again for now fires again", () => {
    const queue = new TimerQueue();
    let left = 3;
    const timer = queue.create("again", () => {
      if (--left > 0) timer.arm(7);
    });
    timer.arm(7);
    queue.runDue(7);
    assert.equal(left, 0);
  });

  it("a saved queue keeps deadlines and their order", () => {
    const make = () => {
      const queue = new TimerQueue();
      const fired: string[] = [];
      const timers = ["x", "y"].map((name) => queue.create(name, () => fired.push(name)));
      return { queue, fired, timers };
    };
    const one = make();
    one.timers[1]?.arm(3);
    one.timers[0]?.arm(3);
    const two = make();
    two.queue.restore(one.queue.save());
    two.queue.runDue(3);
    assert.deepEqual(two.fired, ["y", "x"]);
  });
});
