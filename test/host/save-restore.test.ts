import assert from "node:assert/strict";
import { type HostAction, performHostAction } from "../../src/host";
import { hpaOf } from "../../src/x86";
import { host, page } from "./host";

type Host = ReturnType<typeof host>;

/** A repeatable mixture of everything the host does. */
function act({ process, memory, trace }: Host, step: number): void {
  const k = (step * 5) % 8;
  const action = (["swap-out", "migrate"] satisfies HostAction[])[step % 2] ?? "migrate";
  if (step % 3 === 2) performHostAction(process, trace, action, page((step * 3) % 8));
  if (step === 9) process.munmap(page(6), 4096);
  const found = process.faultIn(page(k), step % 2 === 0);
  if (found.kind === "page") memory.tables.store64(hpaOf(found.pfn, 8 * step), step, k);
  if (step % 4 === 0) memory.allocate("mmu");
}

const state = ({ process, memory }: Host) => ({ process: process.save(), memory: memory.save() });

function run(to: number, stop?: number) {
  let machine = host();
  for (let step = 0; step < to; step++) {
    if (step === stop) {
      const saved = structuredClone(state(machine));
      machine = host();
      act(machine, 1);
      machine.memory.restore(saved.memory);
      machine.process.restore(saved.process);
      machine.events.length = 0;
    }
    act(machine, step);
  }
  return { state: state(machine), events: machine.events };
}

describe("the host's saved state", () => {
  const whole = run(24);

  for (const stop of [1, 8, 10, 23])
    it(`a run restored at step ${stop} ends the same, with the same events`, () => {
      const halved = run(24, stop);
      assert.deepEqual(halved.state, whole.state);
      assert.deepEqual(halved.events, whole.events.slice(-halved.events.length));
    });

  it("the run did swap, migrate and unmap", () => {
    const names = new Set(whole.events.map((event) => event.name));
    assert.deepEqual([...names].sort(), [
      "host_fault_in",
      "host_migrate",
      "host_swap_in",
      "host_swap_out",
    ]);
    assert.equal(whole.state.process.mappings.length, 2);
  });

  it("does not share bytes with the live machine", () => {
    const machine = host();
    machine.process.faultIn(page(0), true);
    machine.memory.tables.store64(hpaOf(machine.memory.zones.guest.first), 1, 0);
    const saved = state(machine);
    const copy = structuredClone(saved);
    for (let step = 0; step < 12; step++) act(machine, step);
    assert.deepEqual(saved, copy);
  });
});
