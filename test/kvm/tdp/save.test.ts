import assert from "node:assert/strict";
import { performHostAction } from "../../../src/host";
import { gfn } from "../../../src/x86";
import { TdpGuest } from "./tdp-guest";

const LOG = 1;

/** A run that meets most of the TDP MMU. */
const SCRIPT: readonly ((g: TdpGuest) => unknown)[] = [
  (g) => g.touch(0x9000, "write"),
  (g) => g.touch(0x203000, "read"),
  (g) => g.setSlot(0, 0, 0x1000, 0x7f0000000000, LOG),
  (g) => g.touch(0x9000, "write"),
  (g) => g.touch(0xd0000000, "read"),
  (g) => performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(9))),
  (g) => g.touch(0x9000, "read"),
  (g) => g.setSlot(0, 0, 0x1000, 0x7f0000000000),
  (g) => g.touch(0x9000, "write"),
  (g) => g.setSlot(3, 0x9000, 0x10, 0x7f0000000000),
  (g) => g.touch(0x9000000, "write"),
  (g) => g.setSlot(3, 0x9000, 0, 0x7f0000000000),
  (g) => g.touch(0x9000, "write"),
];

const everything = (g: TdpGuest) => ({
  vm: g.vm.save(),
  process: g.process.save(),
  host: g.host.save(),
  tlb: [...g.tlbs.get(g.first)!],
});

describe("save and restore of the TDP MMU", () => {
  it("a run that is stopped, restored into another machine and continued ends the same", () => {
    const options = { backing: { kind: "anonymous", writable: true, thp: true } } as const;
    for (let half = 1; half < SCRIPT.length; half++) {
      const whole = new TdpGuest(options);
      for (const step of SCRIPT) step(whole);

      const first = new TdpGuest(options);
      for (const step of SCRIPT.slice(0, half)) step(first);
      const saved = structuredClone(everything(first));

      const second = new TdpGuest(options);
      second.process.restore(saved.process);
      second.host.restore(saved.host);
      second.vm.restore(saved.vm);
      const tlb = second.tlbs.get(second.first)!;
      for (const [frame, cached] of saved.tlb) tlb.set(frame, cached);
      assert.deepEqual(second.vm.check(), []);
      for (const step of SCRIPT.slice(half)) step(second);
      assert.deepEqual(everything(second), everything(whole), `stopped after ${half} steps`);
    }
  });

  it("a machine that is restored into forgets what it was about to do", () => {
    const g = new TdpGuest();
    const trees = g.vm.core.state.tdpMmu!;
    trees.scheduledToZap.add(trees.roots[0]!);
    trees.forget();
    assert.deepEqual([trees.roots.length, trees.pages.size, trees.scheduledToZap.size], [0, 0, 0]);
  });
});
