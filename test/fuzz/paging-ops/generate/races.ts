import { translate } from "../path";
import type { AccessStep, BareStep, Step } from "../steps";
import { anyAccess } from "./accesses";
import { anyEntryValue, anyFlag, anyRoot, goodEntry } from "./entries";
import { anyHostAction } from "./host";
import type { Generator, Scene } from "./scene";

/** Points of a fault at which no lock is held: any other actor may run there. */
const FAULT_POINTS = ["P1", "P1", "P1", "P2", "P2", "P2", "R1", "R3"] as const;
/** Points of a fault that maps in a tree of the TDP MMU: others may map in it as well, and nothing else. */
const SHARED_POINTS = ["P5", "P6"] as const;
/** Points of an invalidation outside the lock: vCPUs run, but what they need may be withheld. */
const NOTIFIER_POINTS = ["N1", "N2"] as const;
/** Points under the lock: nobody but hardware goes on, by what its TLB holds. */
const LOCKED_POINTS = [
  ...["R2", "D1", "D2", "D3", "Z1", "Z2"],
  ...["M1", "M2", "M3", "M4", "T1", "T2"],
] as const;

/** Now and then another actor comes between. */
export function withRace(scene: Scene, step: Step): Step {
  const { random, world } = scene;
  if (!world.subject.vm) return step;
  if (step.meanwhile) return step;
  const trees = world.subject.vm.tdpMmuPages !== undefined;
  if (step.op === "access" && trees && world.vcpus.length > 1 && random.oneIn(10)) {
    const point = random.pick(SHARED_POINTS);
    const other = anyAccess(scene, anotherVcpu(scene, step.vcpu));
    return { ...step, meanwhile: { point, nth: random.below(2), step: other } };
  }
  if (step.op === "access" && random.oneIn(9)) {
    const other = otherActor(scene, step);
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

/** An access that is sure to look for its page, as the host took it, with another actor in its way. */
const racedFault: Generator = (scene) => {
  const { random, world } = scene;
  const vcpu = scene.anyVcpu();
  const { emulated, ...step } = anyAccess(scene, vcpu);
  const offset = world.memory.offsetOf(translate(world.memory, scene.plain(vcpu), step.va));
  const other = otherActor(scene, step);
  if (offset < 0 || !other) return [step];
  return [
    { op: "host", action: "swap-out", page: Math.floor(offset / 4096) },
    { ...step, meanwhile: { point: random.pick(FAULT_POINTS), step: other } },
    step,
  ];
};

/** Generators of races, with their weights. */
export const RACE_MENU: readonly (readonly [Generator, number])[] = [[racedFault, 6]];

function otherActor(scene: Scene, step: AccessStep): BareStep | undefined {
  const { random, world } = scene;
  if (random.oneIn(2)) return hostActionOn(scene, step);
  if (world.vcpus.length === 1) return undefined;
  const other = anotherVcpu(scene, step.vcpu);
  switch (random.below(6)) {
    case 0:
      return anyAccess(scene, other);
    case 1:
      return { op: "cr3", vcpu: other, value: anyRoot(scene, other) };
    case 2:
      return scene.kernelStore(other, scene.anyEntry(other), anyEntryValue(scene, other));
    default:
      return storeOnPath(scene, step, other);
  }
}

/** The host takes the very page that the access is looking for, or one of its tables, half of the time. */
function hostActionOn(scene: Scene, { vcpu, va }: AccessStep): BareStep {
  const { random, world } = scene;
  const action = anyHostAction(scene);
  const target = translate(world.memory, scene.plain(vcpu), va);
  const frames = [target, ...scene.path(vcpu, va).map(({ gpa }) => gpa)];
  const offset = world.memory.offsetOf(random.oneIn(2) ? target : random.pick(frames));
  return offset < 0 || random.oneIn(4)
    ? action
    : ({ ...action, page: Math.floor(offset / 4096) } as BareStep);
}

/** Another vCPU changes an entry that the access has just read. */
function storeOnPath(scene: Scene, { vcpu, va }: AccessStep, other: number): BareStep {
  const { random } = scene;
  const path = scene.path(vcpu, va).filter(({ entry }) => entry !== undefined);
  const { entryBytes } = scene.geometry(vcpu);
  if (path.length === 0)
    return scene.kernelStore(other, scene.anyEntry(other), anyEntryValue(scene, other));
  const { gpa, entry, level } = random.pick(path);
  const changed = random.oneIn(2) ? entry! ^ anyFlag(scene, vcpu) : goodEntry(scene, vcpu, level);
  return scene.kernelStore(other, gpa, changed, entryBytes);
}
