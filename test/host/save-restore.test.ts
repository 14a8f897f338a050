import assert from "node:assert/strict";
import { type HostAction, performHostAction } from "../../src/host";
import { hpaOf } from "../../src/x86";
import { host, page } from "./host";

type Host = ReturnType<typeof host>;

/** Eight anonymous pages, four of a file mapped shared and four private. */
function machineOf(): Host {
  const machine = host({ low: 1, guest: 24, mmu: 8 });
  const { process } = machine;
  process.createFile("disk", 4, Uint8Array.from([1, 2, 3]));
  const file = { kind: "file", file: "disk", firstPage: 0, writable: true } as const;
  process.mmap(page(16), 4 * 4096, { ...file, shared: true });
  process.mmap(page(24), 4 * 4096, { ...file, shared: false });
  return machine;
}
const PAGES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 24, 25, 26, 27];
const ACTIONS: readonly HostAction[] = [
  "swap-out",
  "migrate",
  "merge",
  "read-only",
  "writable",
  "reclaim",
  "discard",
  "poison",
  "unpoison",
];

/** A repeatable mixture of everything the host does. */
function act({ process, memory, trace }: Host, step: number): void {
  const pageOf = (i: number) => page(PAGES[i % PAGES.length] ?? 0);
  const action = ACTIONS[step % ACTIONS.length] ?? "migrate";
  performHostAction(process, trace, action, pageOf(step * 3));
  if (step === 9) process.munmap(page(6), 4096);
  if (step === 20) process.resizeFile("disk", 3);
  if (step === 12) process.limit = 20;
  if (step > 12) process.keepLimit();
  const found = process.faultIn(pageOf(step * 5), step % 2 === 0);
  if (found.kind === "page") memory.tables.store64(hpaOf(found.pfn, 8), step % 3, 0);
  if (step % 4 === 0) memory.allocate("mmu");
}

const state = ({ process, memory }: Host) => ({ process: process.save(), memory: memory.save() });

function run(to: number, stop?: number) {
  let machine = machineOf();
  for (let step = 0; step < to; step++) {
    if (step === stop) {
      const saved = structuredClone(state(machine));
      machine = machineOf();
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
  const STEPS = 120;
  const whole = run(STEPS);

  for (const stop of [1, 8, 10, 23, 40, 77, 119])
    it(`a run restored at step ${stop} ends the same, with the same events`, () => {
      const halved = run(STEPS, stop);
      assert.deepEqual(halved.state, whole.state);
      assert.deepEqual(
        halved.events,
        whole.events.slice(whole.events.length - halved.events.length),
      );
    });

  it("the run did what it is for", () => {
    const names = new Set(whole.events.map((event) => event.name));
    for (const done of ["fault_in", "swap_in", "swap_out", "migrate", "merge", "cow", "poison"])
      assert.ok(names.has(`host_${done}`), done);
    assert.ok(names.has("host_reclaim") && names.has("host_protect") && names.has("host_discard"));
  });

  it("does not share bytes with the live machine", () => {
    const machine = machineOf();
    machine.process.faultIn(page(0), true);
    machine.memory.tables.store64(hpaOf(machine.memory.zones.guest.first), 1, 0);
    const saved = state(machine);
    const copy = structuredClone(saved);
    for (let step = 0; step < 12; step++) act(machine, step);
    assert.deepEqual(saved, copy);
  });
});
