import { CR4 } from "../layout";

/** Who the processor says it is; decides SYSCALL, SYSRET and SYSENTER details (APM 3, SDM 2B). */
export type Vendor = "intel" | "amd";

/**
 * Optional abilities, by their CPUID names in lower case. Control bits, MSRs and system instructions of
 * an absent one fault. Plain instructions (POPCNT, MOVBE, CLWB …) only vanish from CPUID: a hypervisor
 * cannot take them from the processor either.
 */
export const FEATURES = [
  "fpu",
  "de",
  "pse",
  "tsc",
  "msr",
  "mce",
  "mca",
  "pae",
  "cx8",
  "apic",
  "sep",
  "mtrr",
  "pge",
  "cmov",
  "pat",
  "pse36",
  "clflush",
  "mmx",
  "fxsr",
  "sse",
  "sse2",
  "pcid",
  "cx16",
  "x2apic",
  "movbe",
  "popcnt",
  "tscDeadline",
  "hypervisor",
  "fsgsbase",
  "tscAdjust",
  "smep",
  "smap",
  "erms",
  "invpcid",
  "clflushopt",
  "clwb",
  "umip",
  "pku",
  "la57",
  "syscall",
  "nx",
  "page1gb",
  "rdtscp",
  "lm",
  "lahf",
  "abm",
] as const;
export type Feature = (typeof FEATURES)[number];

/** What one machine's processors are. Never changes while the machine lives. */
export interface CpuModel {
  readonly vendor: Vendor;
  /** MAXPHYADDR, 36…52: bits above it are reserved in CR3 and paging entries. */
  readonly physicalBits: number;
  readonly features: ReadonlySet<Feature>;
  /** Local APIC id, and how many processors share the package (CPUID leaves 1, 4, 0xb). */
  readonly apicId: number;
  readonly vcpus: number;
}

/** Not built yet, so never offered. */
export const UNBUILT_FEATURES: readonly Feature[] = ["fpu", "mmx", "sse", "sse2"];
/** All that is built. */
export const ALL_FEATURES: readonly Feature[] = FEATURES.filter(
  (feature) => !UNBUILT_FEATURES.includes(feature),
);
/** Offered unless a launch says otherwise; a fifth level only to those who ask for it. */
export const DEFAULT_FEATURES: readonly Feature[] = ALL_FEATURES.filter(
  (feature) => feature !== "la57",
);

/** The part of a model that a launch may choose; the same for all processors of a machine. */
export type CpuChoice = Pick<CpuModel, "vendor" | "physicalBits" | "features">;
export const DEFAULT_CHOICE: CpuChoice = {
  vendor: "amd",
  physicalBits: 40,
  features: new Set(DEFAULT_FEATURES),
};

export const cpuModel = (choice: CpuChoice, apicId = 0, vcpus = 1): CpuModel => ({
  ...choice,
  apicId,
  vcpus,
});
export const defaultModel = (apicId = 0, vcpus = 1): CpuModel =>
  cpuModel(DEFAULT_CHOICE, apicId, vcpus);

/** CPUID leaf 0, twelve characters. */
export const VENDOR_NAME: Readonly<Record<Vendor, string>> = {
  intel: "GenuineIntel",
  amd: "AuthenticAMD",
};
/** Family, model and stepping as in CPUID leaf 1, and in EDX after RESET and INIT. */
export const SIGNATURE: Readonly<Record<Vendor, number>> = { intel: 0x000306a9, amd: 0x00800f12 };
export const BRAND = "Penumbra virtual processor";

/** CR4 bits and the feature that makes each writable (SDM 3A 2.5). */
const CR4_FEATURES: readonly (readonly [bit: bigint, feature: Feature])[] = [
  [CR4.TSD, "tsc"],
  [CR4.DE, "de"],
  [CR4.PSE, "pse"],
  [CR4.PAE, "pae"],
  [CR4.MCE, "mce"],
  [CR4.PGE, "pge"],
  [CR4.OSFXSR, "fxsr"],
  [CR4.OSXMMEXCPT, "sse"],
  [CR4.UMIP, "umip"],
  [CR4.LA57, "la57"],
  [CR4.FSGSBASE, "fsgsbase"],
  [CR4.PCIDE, "pcid"],
  [CR4.SMEP, "smep"],
  [CR4.SMAP, "smap"],
  [CR4.PKE, "pku"],
];

/** Bits of CR4 that may be 1 on this processor; PCE may on all. The others are reserved. */
export function allowedCr4(model: CpuModel): bigint {
  return CR4_FEATURES.reduce(
    (bits, [bit, feature]) => (model.features.has(feature) ? bits | bit : bits),
    CR4.PCE,
  );
}
