/** Who the processor says it is; decides SYSCALL, SYSRET and SYSENTER details (APM 3, SDM 2B). */
export type Vendor = "intel" | "amd";

/**
 * Optional abilities, by their CPUID names in lower case. Each is offered by CPUID and works, or is
 * neither: an instruction or control bit of an absent one faults.
 */
export const FEATURES = [
  "fpu",
  "de",
  "pse",
  "tsc",
  "msr",
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
