import assert from "node:assert/strict";
import type { Guest } from "./guest";

/** One step of a run; steps may themselves assert. */
export type Step<G extends Guest> = (g: G) => unknown;

/** All there is to compare of a guest, plain. */
function everything(g: Guest) {
  const { cr0, cr3, cr4, efer, cpl, ac } = g.cpu;
  return {
    vm: g.vm.save(),
    process: g.process.save(),
    host: g.host.save(),
    registers: { cr0, cr3, cr4, efer, cpl, ac },
    exit: g.vcpu.nestedExit,
    tlb: [...g.cpu.tlb],
  };
}

/**
 * Stops the run of `script` on a guest of `make` after `half` steps, restores what was saved into one of
 * `another` and goes on there: it must end as the whole run does.
 */
export function assertContinues<G extends Guest>(
  script: readonly Step<G>[],
  half: number,
  make: () => G,
  another: () => G = make,
): void {
  const whole = make();
  for (const step of script) step(whole);

  const first = make();
  for (const step of script.slice(0, half)) step(first);
  const saved = structuredClone(everything(first));

  const second = another();
  second.process.restore(saved.process);
  second.host.restore(saved.host);
  Object.assign(second.cpu, saved.registers);
  second.vm.restore(saved.vm);
  second.cpu.tlb.clear();
  for (const [key, entry] of saved.tlb) second.cpu.tlb.set(key, entry);
  const entering = second.vcpu.mmu.requests === 0 ? second.vcpu : undefined;
  assert.deepEqual(second.vm.check(entering), [], `restored after ${half} steps`);
  for (const step of script.slice(half)) step(second);
  assert.deepEqual(everything(second), everything(whole), `continued after ${half} steps`);
}
