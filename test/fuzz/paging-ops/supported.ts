import { profileOf } from "../../../src/kvm";
import type { Choice } from "./generate/program";
import { ENDLESS, type EngineName, type Era, type Mode, PLAIN_SETUP, type Setup } from "./setup";
import { World } from "./world";

/** Why the product does not run such a guest, in its own words; undefined when it does. */
export function refusalOf(setup: Setup): string | undefined {
  if (setup.mmu !== "none" && setup.mmu !== "shadow")
    return `mmu ${setup.mmu}: the hypervisor has no such engine yet`;
  const profile = profileOf(setup.era);
  if ("reason" in profile) return profile.reason;
  const world = new World({ ...setup, tlb: [ENDLESS] });
  return world.subject.vm?.vcpus[0]?.failure;
}

/** The part of a choice that the product can do, and a sentence for each part it refuses. */
export function supportedPart(choice: Choice): { choice: Choice; refusals: readonly string[] } {
  const refusals: string[] = [];
  const can = (setup: Partial<Setup>): boolean => {
    const refusal = refusalOf({ ...PLAIN_SETUP, ...setup });
    if (refusal !== undefined) refusals.push(refusal);
    return refusal === undefined;
  };
  const engines = choice.engines.filter((mmu: EngineName) => can({ mmu }));
  const eras = choice.eras.filter((era: Era) => can({ era }));
  const modes = choice.modes.filter((mode: Mode) => engines.every((mmu) => can({ mmu, mode })));
  return { choice: { engines, eras, modes }, refusals };
}
