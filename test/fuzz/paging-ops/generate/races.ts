import type { BareStep, Step } from "../steps";
import { anyAccess } from "./accesses";
import { anyEntryValue, anyRoot } from "./entries";
import { anyHostAction } from "./host";
import type { Scene } from "./scene";

/** Points of a fault at which no lock is held: any other actor may run there. */
const FAULT_POINTS = ["P1", "P1", "P2", "P2", "R1", "R3"] as const;
/** Points of a fault that maps in a tree of the TDP MMU: others may map in it as well, and nothing else. */
const SHARED_POINTS = ["P5", "P6"] as const;
/** Points of an invalidation outside the lock: vCPUs run, but what they need may be withheld. */
const NOTIFIER_POINTS = ["N1", "N2"] as const;
/** Points under the lock: nobody but hardware goes on, by what its TLB holds. */
const LOCKED_POINTS = ["R2", "D1", "D2", "D3", "Z1", "Z2", "M1", "M2", "M3", "M4"] as const;

/** Now and then another actor comes between. */
export function withRace(scene: Scene, step: Step): Step {
  const { random, world } = scene;
  if (!world.subject.vm) return step;
  const trees = world.subject.vm.tdpMmuPages !== undefined;
  if (step.op === "access" && trees && world.vcpus.length > 1 && random.oneIn(10)) {
    const point = random.pick(SHARED_POINTS);
    const other = anyAccess(scene, anotherVcpu(scene, step.vcpu));
    return { ...step, meanwhile: { point, nth: random.below(2), step: other } };
  }
  if (step.op === "access" && random.oneIn(14)) {
    const other = otherActor(scene, step.vcpu);
    const point = random.pick(FAULT_POINTS);
    return other ? { ...step, meanwhile: { point, nth: random.below(2), step: other } } : step;
  }
  if (step.op === "host" && random.oneIn(3)) {
    const point = random.pick(NOTIFIER_POINTS);
    return { ...step, meanwhile: { point, step: anyAccess(scene, scene.anyVcpu()) } };
  }
  const locks = ["slot", "dirty-log", "clear-log", "limit", "shrink", "host"].includes(step.op);
  if (!locks || !random.oneIn(4)) return step;
  const { emulated, ...access } = anyAccess(scene, scene.anyVcpu());
  const point = random.pick(LOCKED_POINTS);
  return {
    ...step,
    meanwhile: { point, nth: random.below(2), step: { ...access, cached: true } },
  };
}

const anotherVcpu = ({ random, world }: Scene, vcpu: number): number =>
  (vcpu + 1 + random.below(world.vcpus.length - 1)) % world.vcpus.length;

function otherActor(scene: Scene, vcpu: number): BareStep | undefined {
  const { random, world } = scene;
  if (random.oneIn(2)) return anyHostAction(scene);
  if (world.vcpus.length === 1) return undefined;
  const other = anotherVcpu(scene, vcpu);
  switch (random.below(4)) {
    case 0:
      return anyAccess(scene, other);
    case 1:
      return { op: "cr3", vcpu: other, value: anyRoot(scene, other) };
    default:
      return scene.kernelStore(other, scene.anyEntry(other), anyEntryValue(scene, other));
  }
}
