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

/** What shadow paging cannot give a guest: KVM offers no protection keys without two-dimensional paging. */
const withheldUnder = (mmu: MmuMode): readonly Feature[] => (mmu === "shadow" ? ["pku"] : []);

/**
 * Reads a choice of processor: words with commas between them. The first may be `default` or `max`;
 * the others are `vendor=intel`, `vendor=amd`, `phys-bits=36` … `52`, `+feature` and `-feature`. A
 * feature that the mode of translation cannot carry is absent unless it is named, then refused.
 */
export function chooseCpu(text: string, mmu: MmuMode): CpuChoice | Refusal {
  const words = text.split(",").filter((word) => word !== "");
  const base = words[0] === "max" || words[0] === "default" ? words.shift() : "default";
  const withheld = withheldUnder(mmu);
  const features = new Set(base === "max" ? ALL_FEATURES : DEFAULT_CHOICE.features);
  for (const feature of withheld) features.delete(feature);
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
      const wrong = toggle(features, word, withheld);
      if (wrong) return wrong;
    }
  }
  return { vendor, physicalBits, features };
}

const isPhysicalBits = (bits: number): boolean =>
  Number.isInteger(bits) && bits >= MIN_PHYSICAL_BITS && bits <= MAX_PHYSICAL_BITS;

function toggle(
  features: Set<Feature>,
  word: string,
  withheld: readonly Feature[],
): Refusal | undefined {
  const sign = word[0];
  const feature = BY_NAME.get(plain(word.slice(1)));
  if ((sign !== "+" && sign !== "-") || !feature)
    return refuse(
      `cpu: "${word}" is no part of a processor: write +NAME or -NAME with a name of CPUID such as smap, pku or la57`,
    );
  if (sign === "-") features.delete(feature);
  else if (UNBUILT_FEATURES.includes(feature))
    return refuse(`cpu: ${feature} is not there yet: leave it out`);
  else if (withheld.includes(feature))
    return refuse(
      `cpu: ${feature} cannot be offered under shadow paging: leave it out or choose another mmu`,
    );
  else features.add(feature);
  return undefined;
}
