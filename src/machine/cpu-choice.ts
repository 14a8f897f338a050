import { MODERN, type Profile } from "../kvm";
import {
  ALL_FEATURES,
  type CpuChoice,
  DEFAULT_CHOICE,
  FEATURES,
  type Feature,
  UNBUILT_FEATURES,
  type Vendor,
} from "../x86";
import type { MmuMode } from "./machine";
import { type Refusal, refuse } from "./refusal";

/** MAXPHYADDR that may be asked for. */
const MIN_PHYSICAL_BITS = 36;
const MAX_PHYSICAL_BITS = 52;
const VENDORS: readonly Vendor[] = ["intel", "amd"];

/** Names are read without case, dashes and underscores: tscDeadline, tsc-deadline and TSC_DEADLINE are one. */
const plain = (name: string): string => name.toLowerCase().replaceAll(/[-_]/g, "");
const BY_NAME = new Map<string, Feature>(FEATURES.map((feature) => [plain(feature), feature]));

/** Why this translation cannot give a guest the feature; undefined when it can. */
type Objection = (feature: Feature) => string | undefined;

/** What the hypervisor does not offer: KVM has no protection keys without two-dimensional paging. */
const objections =
  (mmu: MmuMode, { kernels, unknownFeatures }: Profile): Objection =>
  (feature) => {
    if (mmu === "none") return undefined;
    if (unknownFeatures.includes(feature)) return `is not known to kernels ${kernels}`;
    const unshadowed = mmu === "shadow" && feature === "pku";
    return unshadowed ? "cannot be offered under shadow paging" : undefined;
  };

/**
 * Reads a choice of processor: words with commas between them. The first may be `default` or `max`;
 * the others are `vendor=intel`, `vendor=amd`, `phys-bits=36` … `52`, `+feature` and `-feature`. A
 * feature that the mode of translation cannot carry is absent unless it is named, then refused.
 */
export function chooseCpu(
  text: string,
  mmu: MmuMode,
  profile: Profile = MODERN,
): CpuChoice | Refusal {
  const words = text.split(",").filter((word) => word !== "");
  const base = words[0] === "max" || words[0] === "default" ? words.shift() : "default";
  const objection = objections(mmu, profile);
  const features = new Set(base === "max" ? ALL_FEATURES : DEFAULT_CHOICE.features);
  for (const feature of ALL_FEATURES) if (objection(feature)) features.delete(feature);
  let { vendor, physicalBits } = DEFAULT_CHOICE;
  for (const word of words) {
    const [key = "", value] = word.split("=", 2);
    if (key === "vendor") {
      const named = VENDORS.find((each) => each === value);
      if (!named) return refuse(`cpu: there is no vendor ${value}: choose intel or amd`);
      vendor = named;
    } else if (key === "phys-bits") {
      physicalBits = Number(value);
      if (!isPhysicalBits(physicalBits))
        return refuse(`cpu: phys-bits ${value} is outside 36 … 52: choose a number between them`);
    } else {
      const wrong = toggle(features, word, objection);
      if (wrong) return wrong;
    }
  }
  return { vendor, physicalBits, features };
}

const isPhysicalBits = (bits: number): boolean =>
  Number.isInteger(bits) && bits >= MIN_PHYSICAL_BITS && bits <= MAX_PHYSICAL_BITS;

function toggle(features: Set<Feature>, word: string, objection: Objection): Refusal | undefined {
  const sign = word[0];
  const feature = BY_NAME.get(plain(word.slice(1)));
  if ((sign !== "+" && sign !== "-") || !feature)
    return refuse(
      `cpu: "${word}" is no part of a processor: write +NAME or -NAME with a name of CPUID such as smap, pku or la57`,
    );
  if (sign === "-") features.delete(feature);
  else if (UNBUILT_FEATURES.includes(feature))
    return refuse(`cpu: ${feature} is not there yet: leave it out`);
  const why = sign === "+" ? objection(feature) : undefined;
  if (why) return refuse(`cpu: ${feature} ${why}: leave it out or choose another mmu or era`);
  if (sign === "+") features.add(feature);
  return undefined;
}
