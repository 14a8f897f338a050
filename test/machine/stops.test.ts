import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Machine } from "../../src/machine";
import { gpa, type TraceEvent } from "../../src/x86";
import { machineWith } from "./guest-code";

const tour = new Uint8Array(readFileSync("media/guests/paging-tour/paging-tour.elf"));
const LIMIT = 1_000_000;

/** The tour, stopped before each event of this name that `wanted` accepts. */
function stoppingAt(
  name: string,
  mmu: "none" | "shadow",
  wanted: (event: TraceEvent) => boolean = () => true,
): Machine {
  const machine = machineWith(tour, { mmu, memory: 64 * 2 ** 20 });
  machine.trace.on(name, (event) => {
    if (wanted(event)) machine.requestStop(event, name);
  });
  return machine;
}

/** Runs to the end; how often an event stopped it. */
function stopsOf(machine: Machine): number {
  let stops = 0;
  for (;;) {
    const reason = machine.run(LIMIT);
    if (reason.kind !== "event") {
      assert.deepEqual(reason, { kind: "poweroff" });
      return stops;
    }
    stops++;
  }
}

describe("stops at events", () => {
  const undisturbed = (["none", "shadow"] as const).map((mmu) => {
    const machine = machineWith(tour, { mmu, memory: 64 * 2 ** 20 });
    machine.run(LIMIT);
    return [mmu, machine.save()] as const;
  });
  for (const [mmu, end] of undisturbed)
    for (const name of ["exception", "invlpg", "cr_write"])
      it(`${name} stops each time once, before it happens, and leaves no trace (${mmu})`, () => {
        let announced = 0;
        const machine = stoppingAt(name, mmu);
        machine.trace.on(name, () => announced++);
        const stops = stopsOf(machine);
        assert.ok(stops > 0);
        assert.equal(stops, announced);
        assert.deepEqual(machine.save(), end);
      });

  it("a page fault is stopped before CR2 and the stack know of it", () => {
    const machine = stoppingAt("exception", "shadow", ({ fields }) => fields.vector === 14);
    const reason = machine.run(LIMIT);
    assert.ok(reason.kind === "event");
    const vcpu = machine.vcpus[0];
    assert.equal(reason.event.fields.cr2, 0x40000000n);
    assert.deepEqual(vcpu?.pending, { vector: 14, error: 2, cr2: 0x40000000n });
    assert.equal(vcpu?.state.cr2, 0n);
    machine.step(0);
    assert.equal(vcpu?.state.cr2, 0x40000000n);
    assert.equal(vcpu?.pending, undefined);
  });

  it("an event inside the hypervisor stops before the next instruction of the guest", () => {
    const machine = stoppingAt("kvm_mmu_set_spte", "shadow");
    const reason = machine.run(LIMIT);
    assert.ok(reason.kind === "event" && reason.event.name === "kvm_mmu_set_spte");
    assert.equal(machine.tick, 0);
    assert.equal(stopsOf(stoppingAt("kvm_mmu_unsync_page", "shadow")) > 0, true);
  });

  it("a VM entry can be stopped at, and the guest gets on", () => {
    const machine = stoppingAt("kvm_entry", "shadow");
    for (let n = 0; n < 20; n++) assert.equal(machine.run(LIMIT).kind, "event");
    assert.ok(machine.tick > 20, `${machine.tick} instructions after 20 entries`);
  });

  it("registers written while stopped count from the next instruction on", () => {
    for (const [mmu] of undisturbed) {
      const machine = stoppingAt("exception", mmu);
      assert.equal(machine.run(LIMIT).kind, "event");
      const { state } = machine.vcpus[0]!;
      // Another space: CR3 of the boot tables, where 0x40000000 is mapped one to one.
      const physical = machine.gva(0, gpa(0x103000)).read(0x100000n as never, 8);
      state.cr3 = 0x103000n;
      assert.deepEqual(machine.gva(0).read(0x100000n as never, 8), physical);
      assert.equal(machine.step(0).kind, "limit");
      if (machine.vm) assert.deepEqual(machine.vm.check(), []);
    }
  });

  it("looking at memory and tables leaves no trace", () => {
    for (const [mmu, end] of undisturbed) {
      const machine = machineWith(tour, { mmu, memory: 64 * 2 ** 20 });
      const events: string[] = [];
      while (!machine.ended) {
        machine.run(20_000);
        const off = machine.trace.on("*", ({ name }) => events.push(name));
        const space = machine.gva(0);
        space.read(0x40000000n as never, 64);
        space.nextMapped(0x50000000n as never);
        machine.gpa.read(gpa(0x3000000), 0x2000);
        off();
      }
      assert.deepEqual(events, []);
      assert.deepEqual(machine.save(), end);
    }
  });
});
