import assert from "node:assert/strict";
import { guestWalk, type Machine, type MmuMode } from "../../src/machine";
import { gpa, pagingMode } from "../../src/x86";
import { machineWith, outputOf } from "./guest-code";
import { FAULTS, PAE, SHORT, SUM, shortGuest, WINDOW } from "./short-guest";

/** Everything of a run that a guest can tell. */
function run(mmu: MmuMode, quantum = 1000): { machine: Machine; end: unknown } {
  const machine = machineWith(shortGuest(), { mmu, quantum, check: true });
  const output = outputOf(machine);
  const stop = machine.run(100_000);
  const words = (at: number): number[] => [...machine.gpa.read(gpa(at), 16)];
  const memory = [SUM, 0x121000, 0x128000, 0x130000, SHORT.directory, SHORT.table, PAE.directory]
    .concat(PAE.table, PAE.pointers)
    .map(words);
  return { machine, end: { stop, tick: machine.tick, text: output.text, memory } };
}

describe("a guest with 32-bit and PAE paging", () => {
  it("F-001 F-016 F-017 F-021 ends the same under none and under shadow", () => {
    const none = run("none");
    const shadow = run("shadow");
    assert.deepEqual(shadow.end, none.end);
    const { stop, text } = none.end as { stop: unknown; text: string };
    // Four passes over pages 1 … 8 add their number each time: 36 × (1 + 2 + 3 + 4).
    assert.deepEqual(stop, { kind: "exit", value: 360 });
    assert.equal(text, "spss");
    assert.equal(shadow.machine.gpa.read(gpa(FAULTS), 1)[0], 2);
    assert.deepEqual(shadow.machine.vm?.check(), []);
  });

  it("F-017 a debugger walks its tables from the PDPTEs that were loaded", () => {
    const walks = (["none", "shadow"] as const).map((mmu) => {
      const machine = machineWith(shortGuest(), { mmu });
      const { state } = machine.vcpus[0]!;
      const inPae = (): boolean => pagingMode(state) === "PAE";
      while (!inPae()) machine.run(1);
      machine.run(40);
      assert.equal(pagingMode(state), "PAE");
      machine.gpa.write(gpa(PAE.pointers), new Uint8Array(8));
      const { kind, frame, level } = guestWalk(machine, 0, BigInt(WINDOW));
      return { kind, frame, level };
    });
    assert.deepEqual(walks[0], walks[1]);
    assert.equal(walks[0]?.kind, "translation");
  });

  it("F-017 its PDPTEs are part of the saved state", () => {
    const whole = run("shadow");
    const first = machineWith(shortGuest(), { mmu: "shadow" });
    for (const limit = 70; first.run(limit).kind === "limit"; ) {
      const second = machineWith(shortGuest(), { mmu: "shadow" });
      second.restore(first.save());
      assert.deepEqual(second.run(100_000), (whole.end as { stop: unknown }).stop);
    }
  });
});
