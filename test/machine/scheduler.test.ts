import assert from "node:assert/strict";
import { Scheduler } from "../../src/machine/scheduler";

const vcpus = (...canRun: boolean[]) => canRun.map((can) => ({ canRun: can }));

describe("scheduler", () => {
  it("gives each vCPU a quantum in turn", () => {
    const scheduler = new Scheduler(vcpus(true, true, true), 100);
    const order: number[] = [];
    for (let i = 0; i < 4; i++) {
      assert.ok(scheduler.choose());
      order.push(scheduler.current);
      scheduler.spend(100);
    }
    assert.deepEqual(order, [0, 1, 2, 0]);
  });

  it("keeps the turn across interruptions of the run", () => {
    const scheduler = new Scheduler(vcpus(true, true), 100);
    scheduler.choose();
    scheduler.spend(40);
    scheduler.choose();
    assert.deepEqual([scheduler.current, scheduler.left], [0, 60]);
  });

  it("skips those that cannot run, and says so when none can", () => {
    const list = vcpus(true, false, true);
    const scheduler = new Scheduler(list, 10);
    scheduler.choose();
    scheduler.yield();
    scheduler.choose();
    assert.equal(scheduler.current, 2);
    for (const vcpu of list) vcpu.canRun = false;
    assert.equal(scheduler.choose(), false);
  });

  it("gives a lone vCPU a new turn at once", () => {
    const scheduler = new Scheduler(vcpus(true), 10);
    scheduler.choose();
    scheduler.yield();
    assert.ok(scheduler.choose());
    assert.deepEqual([scheduler.current, scheduler.left], [0, 10]);
  });

  it("comes back from a saved state in the middle of a turn", () => {
    const one = new Scheduler(vcpus(true, true), 100);
    one.choose();
    one.yield();
    one.choose();
    one.spend(30);
    const two = new Scheduler(vcpus(true, true), 100);
    two.restore(one.save());
    two.choose();
    assert.deepEqual([two.current, two.left], [1, 70]);
  });
});
