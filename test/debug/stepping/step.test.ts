import assert from "node:assert/strict";
import { type Execution, type Granularity, Step, type StepKind } from "../../../src/debug";
import type { StopReason } from "../../../src/machine";
import { Tour } from "../tour";

const DIRECTORY = "media/guests/paging-tour";

/** The tour as something to step in, without other breakpoints. */
function stepper(mmu: "none" | "shadow" = "none") {
  const tour = new Tour(mmu);
  const { machine, symbols } = tour;
  const execution: Execution = {
    machine,
    symbols,
    run: (limit, { addresses, reached }) => {
      machine.setBreakpoints(addresses);
      const reason = machine.run(limit);
      machine.setBreakpoints(new Set());
      return reason.kind === "breakpoint" && reached(reason.vcpu) ? "arrived" : reason;
    },
    step: (vcpu) => machine.step(vcpu),
  };
  const step = (kind: StepKind, granularity: Granularity = "statement"): StopReason => {
    const work = new Step(execution, 0, kind, granularity);
    for (let slices = 0; slices < 10_000; slices++) {
      const reason = work.slice();
      if (reason) return reason;
    }
    assert.fail("the step has no end");
  };
  const runTo = (name: string): void => {
    const address = symbols.breakAddress(name);
    assert.ok(address, name);
    assert.equal(
      execution.run(10_000_000, { addresses: new Set([address]), reached: () => true }),
      "arrived",
    );
  };
  const place = (): string => {
    const { rip } = machine.vcpus[0]!.state;
    const at = symbols.lineAt(rip);
    return `${symbols.functionAt(rip)?.name} ${at?.path.replace(`${DIRECTORY}/`, "")}:${at?.line}`;
  };
  return { tour, step, runTo, place };
}

describe("stepping", () => {
  it("next goes through a function statement by statement, over its calls", () => {
    const { step, runTo, place } = stepper();
    runTo("tour");
    const places: string[] = [];
    while (places.at(-1) !== "tour tour.c:46") {
      assert.equal(step("over").kind, "limit");
      places.push(place());
      assert.ok(places.length < 20, places.join("\n"));
    }
    assert.ok(
      places.every((p) => p.startsWith("tour tour.c:")),
      places.join("\n"),
    );
    assert.deepEqual(places.slice(-3), ["tour tour.c:44", "tour tour.c:45", "tour tour.c:46"]);
  });

  it("step in enters the function, step out comes back behind the call", () => {
    const { tour, step, runTo, place } = stepper();
    runTo("tour");
    while (place() !== "tour tour.c:44") step("over");
    step("in");
    assert.match(place(), /^demand_paging demand-paging\.c:/);
    assert.deepEqual(tour.stack(), ["demand_paging", "tour", "long_mode"]);
    step("out");
    assert.match(place(), /^tour tour\.c:4[45]$/);
  });

  for (const mmu of ["none", "shadow"] as const)
    it(`${mmu}: next over a page fault ends on the next line, not in the handler`, () => {
      const { step, runTo, place } = stepper(mmu);
      runTo("demand_paging");
      const lines: string[] = [];
      for (let n = 0; n < 8 && place().startsWith("demand_paging"); n++) {
        lines.push(place());
        assert.equal(step("over").kind, "limit");
      }
      assert.match(place(), /^tour /, lines.join("\n"));
      assert.ok(lines.length >= 3);
    });

  it("step in goes into the handler of a fault", () => {
    const { tour, step, place } = stepper();
    tour.breakpoints.setFilters([{ filter: "pf" }]);
    tour.event();
    tour.breakpoints.setFilters([]);
    step("in");
    assert.match(place(), /traps\.S:/);
  });

  it("next over a CR3 load keeps the line", () => {
    const { step, runTo, place } = stepper("shadow");
    runTo("two_address_spaces");
    const lines: number[] = [];
    for (let n = 0; n < 60 && place().startsWith("two_address_spaces"); n++) {
      lines.push(Number(place().split(":")[1]));
      step("over");
    }
    assert.match(place(), /^tour /);
    for (const line of [37, 41, 49])
      assert.ok(lines.includes(line), `${line} in ${lines.join(" ")}`);
  });

  it("next over a fault whose handler resumes behind it ends there", () => {
    const { tour, step, runTo, place } = stepper("shadow");
    const results: (bigint | undefined)[] = [];
    for (let attempts = 0; attempts < 2; attempts++) {
      runTo("attempt_write_store");
      step("over", attempts === 0 ? "statement" : "instruction");
      assert.match(place(), /traps\.S:(119|121)$/);
      runTo("attempt_write_failed");
      results.push(tour.machine.vcpus[0]?.state.gpr(0));
    }
    assert.ok(results.includes(0n), `one of them faulted: ${results}`);
  });

  it("an instruction step over a fault does the instruction", () => {
    const { tour, step, runTo } = stepper("shadow");
    runTo("demand_paging");
    tour.breakpoints.setFilters([{ filter: "pf" }]);
    tour.event();
    tour.breakpoints.setFilters([]);
    const { rip } = tour.machine.vcpus[0]!.state;
    step("over", "instruction");
    const moved = tour.machine.vcpus[0]!.state.rip - rip;
    assert.ok(moved > 0n && moved < 16n, String(moved));
    assert.equal(tour.watch("u64(0x40000000)"), "0x1");
  });

  it("an instruction step moves by one instruction", () => {
    const { tour, step, runTo } = stepper();
    runTo("tour");
    const before = tour.machine.tick;
    step("in", "instruction");
    assert.equal(tour.machine.tick, before + 1);
  });

  it("next over a user-mode fault stays in user mode", () => {
    const { tour, step, runTo, place } = stepper("shadow");
    runTo("user_main");
    const places = [place()];
    for (let n = 0; n < 30 && tour.machine.vcpus[0]?.state.cpl === 3; n++) {
      step("over");
      places.push(place());
    }
    const inside = places.filter((p) => p.includes("user"));
    assert.ok(inside.length >= 2, places.join("\n"));
    assert.ok(!places.slice(0, -1).some((p) => p.includes("traps")), places.join("\n"));
  });

  it("an event inside a step wins", () => {
    const { tour, step, runTo, place } = stepper();
    runTo("tour");
    while (place() !== "tour tour.c:44") step("over");
    tour.breakpoints.setFilters([{ filter: "pf" }]);
    const reason = step("over");
    assert.equal(reason.kind, "event");
    assert.match(place(), /^demand_paging /);
  });
});
