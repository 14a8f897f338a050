import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import type { Machine, MmuMode } from "../../src/machine";
import { machineWith, outputOf } from "./guest-code";

const tour = new Uint8Array(readFileSync("media/guests/paging-tour/paging-tour.elf"));
const make = (mmu: MmuMode): Machine => machineWith(tour, { mmu, memory: 64 * 2 ** 20 });
const LIMIT = 1_000_000;

for (const mmu of ["none", "shadow", "ept", "npt"] as const)
  describe(`checkpoint of the paging tour (mmu: ${mmu})`, () => {
    const reference = make(mmu);
    const printed = outputOf(reference);
    reference.run(LIMIT);
    const end = reference.save();
    const length = reference.tick;

    it("runs to power-off", () => {
      assert.deepEqual(reference.ended, { kind: "poweroff" });
      assert.match(printed.text, /all chapters done/);
    });

    it("taken at any instruction and restored into a fresh machine, ends bit-identical", () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: length - 1 }), (at) => {
          const one = make(mmu);
          one.run(at);
          const saved = one.save();
          const two = make(mmu);
          const rest = outputOf(two);
          two.restore(saved);
          assert.deepEqual(two.save(), saved);
          two.run(LIMIT);
          assert.deepEqual(two.save(), end);
          assert.ok(printed.text.endsWith(rest.text));
        }),
        { numRuns: 5 },
      );
    });

    it("brings a machine back in time", () => {
      const machine = make(mmu);
      machine.run(40_000);
      const early = machine.save();
      machine.run(60_000);
      const late = machine.save();
      machine.restore(early);
      assert.deepEqual(machine.save(), early);
      machine.run(60_000);
      assert.deepEqual(machine.save(), late);
    });
  });

describe("modes", () => {
  it("the tour retires the same instructions and prints the same with and without a hypervisor", () => {
    const [bare, shadow] = (["none", "shadow"] as const).map((mmu) => {
      const machine = make(mmu);
      const output = outputOf(machine);
      machine.run(LIMIT);
      return [machine.tick, output.text];
    });
    assert.deepEqual(bare, shadow);
  });
});
