import { kernelBase } from "../geometry";
import { POOL } from "../layout";
import type { AccessStep } from "../steps";
import { anyEntryValue } from "./entries";
import type { Generator, Scene } from "./scene";

const SIZES = [1, 2, 4, 8] as const;

/** Any access to an address that tables may map, of any kind and size. */
export function anyAccess(scene: Scene, vcpu: number): AccessStep {
  const { random } = scene;
  const page = random.oneIn(3) ? scene.anyAddress(vcpu) : scene.likelyAddress(vcpu);
  const { entryBytes, indexes } = scene.geometry(vcpu);
  const size = random.oneIn(5) ? random.pick(SIZES) : entryBytes;
  // Half of them where entries are, should the page be a table.
  const offset = random.oneIn(2)
    ? random.pick(indexes.at(-1)!) * entryBytes
    : size * random.below(4096 / size);
  const kind = random.pick(["read", "write", "write", "fetch"] as const);
  const cpl = random.pick([0, 3] as const);
  const step: AccessStep = {
    op: "access",
    vcpu,
    kind,
    cpl,
    va: page + BigInt(offset - (offset % size)),
    size,
  };
  const whole = kind === "write" ? { ...step, value: storedValue(scene, vcpu) } : step;
  if (random.oneIn(12)) return { ...whole, emulated: true };
  return cpl === 3 && kind !== "fetch" && random.oneIn(20) ? { ...whole, implicit: true } : whole;
}

const storedValue = (scene: Scene, vcpu: number): bigint =>
  scene.random.oneIn(2) ? anyEntryValue(scene, vcpu) : scene.random.u64();

const access: Generator = (scene) => [anyAccess(scene, scene.anyVcpu())];

/** The same page twice, in two ways. */
const accessTwice: Generator = (scene) => {
  const first = anyAccess(scene, scene.anyVcpu());
  const { implicit, ...explicit } = first;
  const { random } = scene;
  const kind = random.oneIn(2) ? "read" : "fetch";
  return [first, { ...explicit, kind, cpl: random.pick([0, 3] as const) }];
};

/** Looks at memory through the kernel's map. */
const kernelAccess: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  if (scene.mode(vcpu) === "none") return [];
  const gpa = random.pick(POOL) * 4096 + 8 * random.below(512);
  const va = kernelBase(scene.geometry(vcpu)) + BigInt(gpa);
  const kind = random.oneIn(4) ? "fetch" : "read";
  return [{ op: "access", vcpu, kind, cpl: random.oneIn(4) ? 3 : 0, va }];
};

/** Generators of accesses, with their weights. */
export const ACCESS_MENU: readonly (readonly [Generator, number])[] = [
  [access, 36],
  [accessTwice, 8],
  [kernelAccess, 4],
];
