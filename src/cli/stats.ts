import type { Machine } from "../machine";

/** The figures of `--stats json`, in the order in which they are printed. */
export function statistics(machine: Machine, seconds: number): Readonly<Record<string, unknown>> {
  const stats = machine.vm?.stats;
  const vcpus = machine.vm?.vcpus.map((vcpu) => vcpu.mmu.stats) ?? [];
  const sum = (name: "pf_taken" | "pf_fixed" | "pf_emulate" | "pf_guest"): number =>
    vcpus.reduce((total, vcpu) => total + vcpu[name], 0);
  return {
    instructions: machine.tick,
    exits: machine.exits,
    shadowPages: machine.vm?.usedPages ?? 0,
    sptes: (stats?.pages_4k ?? 0) + (stats?.pages_2m ?? 0) + (stats?.pages_1g ?? 0),
    unsync: stats?.mmu_unsync ?? 0,
    faults: {
      taken: sum("pf_taken"),
      fixed: sum("pf_fixed"),
      emulated: sum("pf_emulate"),
      guest: sum("pf_guest"),
    },
    seconds,
  };
}
