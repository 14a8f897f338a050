import type { BareStep, Step } from "../steps";
import { anyAccess } from "./accesses";
import { anyEntryValue, anyRoot } from "./entries";
import { anyHostAction } from "./host";
import type { Scene } from "./scene";

/** Points of a fault at which no lock is held: any other actor may run there. */
const FAULT_POINTS = ["P1", "P2"] as const;

/** Now and then another actor comes between: to an access, as it looks for its page. */
export function withRace(scene: Scene, step: Step): Step {
  const { random, world } = scene;
  if (step.op !== "access" || !world.subject.vm || !random.oneIn(14)) return step;
  const other = otherActor(scene, step.vcpu);
  return other ? { ...step, meanwhile: { point: random.pick(FAULT_POINTS), step: other } } : step;
}

function otherActor(scene: Scene, vcpu: number): BareStep | undefined {
  const { random, world } = scene;
  if (random.oneIn(2)) return anyHostAction(scene);
  if (world.vcpus.length === 1) return undefined;
  const other = (vcpu + 1 + random.below(world.vcpus.length - 1)) % world.vcpus.length;
  switch (random.below(4)) {
    case 0:
      return anyAccess(scene, other);
    case 1:
      return { op: "cr3", vcpu: other, value: anyRoot(scene, other) };
    default:
      return scene.kernelStore(other, scene.anyEntry(other), anyEntryValue(scene, other));
  }
}
