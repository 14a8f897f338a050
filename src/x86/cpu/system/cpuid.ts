import type { CpuidAnswer, CpuidResult } from "../board";
import { CR4, S } from "../layout";
import type { SystemContext } from "./context";
import { BRAND, type CpuModel, type Feature, SIGNATURE, VENDOR_NAME } from "./cpu-model";

type FeatureBits = readonly (readonly [bit: number, feature: Feature])[];

/** Leaf 1, EDX and ECX (SDM 2A CPUID tables 3-10, 3-11). */
const LEAF1_EDX: FeatureBits = [
  [0, "fpu"],
  [2, "de"],
  [3, "pse"],
  [4, "tsc"],
  [5, "msr"],
  [6, "pae"],
  [7, "mce"],
  [8, "cx8"],
  [9, "apic"],
  [11, "sep"],
  [12, "mtrr"],
  [13, "pge"],
  [14, "mca"],
  [15, "cmov"],
  [16, "pat"],
  [17, "pse36"],
  [19, "clflush"],
  [23, "mmx"],
  [24, "fxsr"],
  [25, "sse"],
  [26, "sse2"],
];
const LEAF1_ECX: FeatureBits = [
  [13, "cx16"],
  [17, "pcid"],
  [21, "x2apic"],
  [22, "movbe"],
  [23, "popcnt"],
  [24, "tscDeadline"],
  [31, "hypervisor"],
];
/** Leaf 7, subleaf 0. */
const LEAF7_EBX: FeatureBits = [
  [0, "fsgsbase"],
  [1, "tscAdjust"],
  [7, "smep"],
  [9, "erms"],
  [10, "invpcid"],
  [20, "smap"],
  [23, "clflushopt"],
  [24, "clwb"],
];
const LEAF7_ECX: FeatureBits = [
  [2, "umip"],
  [3, "pku"],
  [16, "la57"],
];
/** Leaf 80000001h; AMD repeats there what leaf 1 says of old features (APM 3 E.4.2). */
const EXTENDED_EDX: FeatureBits = [
  [11, "syscall"],
  [20, "nx"],
  [26, "page1gb"],
  [27, "rdtscp"],
  [29, "lm"],
];
const EXTENDED_ECX: FeatureBits = [
  [0, "lahf"],
  [5, "abm"],
];
const AMD_REPEATED = 0x0183f3ff;

const bits = ({ features }: CpuModel, table: FeatureBits): number =>
  table.reduce((word, [bit, feature]) => (features.has(feature) ? word | (1 << bit) : word), 0) >>>
  0;

const textWords = (text: string): number[] =>
  Array.from({ length: text.length / 4 }, (_, n) =>
    [3, 2, 1, 0].reduce((word, byte) => (word << 8) | text.charCodeAt(4 * n + byte), 0),
  );

/** Mirrors CR4.PKE. */
const OSPKE = 1 << 4;
const HTT = 1 << 28;
const APIC_BIT = 1 << 9;
const APIC_ENABLED = 1n << 11n;
const CLFLUSH_QUADWORDS = 8;
const MAX_BASIC = 0x16;
const MAX_EXTENDED = 0x80000008;
/** One tick of virtual time is a nanosecond: 1 GHz. */
const TICKS_PER_SECOND = 1_000_000_000;

type Leaf = (model: CpuModel, subleaf: number, ctx: SystemContext) => CpuidResult;
const none: CpuidResult = [0, 0, 0, 0];

/** Leaves that are not all zero. */
const LEAVES: Readonly<Record<number, Leaf>> = {
  0: ({ vendor }) => {
    const [b, d, c] = textWords(VENDOR_NAME[vendor]);
    return [MAX_BASIC, b!, c!, d!];
  },
  1: (model, _subleaf, { state }) => {
    const ebx = (model.apicId << 24) | (model.vcpus << 16) | (CLFLUSH_QUADWORDS << 8);
    // A local APIC that IA32_APIC_BASE disables is not there (SDM 3A 11.4.3).
    const hidden = state.u64(S.apicBase) & APIC_ENABLED ? 0 : APIC_BIT;
    const edx = (bits(model, LEAF1_EDX) & ~hidden) | (model.vcpus > 1 ? HTT : 0);
    return [SIGNATURE[model.vendor], ebx, bits(model, LEAF1_ECX), edx];
  },
  7: (model, subleaf, { state }) => {
    if (subleaf !== 0) return none;
    const enabled = state.hasCr4(CR4.PKE) ? OSPKE : 0;
    return [0, bits(model, LEAF7_EBX), bits(model, LEAF7_ECX) | enabled, 0];
  },
  // Topology: one thread a core, all cores in one package.
  11: ({ apicId, vcpus }, subleaf) => {
    const shift = Math.ceil(Math.log2(vcpus));
    if (subleaf === 0) return [0, 1, 0x100, apicId];
    if (subleaf === 1) return [shift, vcpus, 0x201, apicId];
    return [0, 0, subleaf, apicId];
  },
  // TSC = crystal x 1/1; frequencies in MHz. Intel only: software of AMD machines does not look.
  21: ({ vendor }) => (vendor === "intel" ? [1, 1, TICKS_PER_SECOND, 0] : none),
  22: ({ vendor }) => (vendor === "intel" ? [1000, 1000, 1000, 0] : none),
  2147483648: ({ vendor }) => {
    const [b, d, c] = textWords(VENDOR_NAME[vendor]);
    return vendor === "amd" ? [MAX_EXTENDED, b!, c!, d!] : [MAX_EXTENDED, 0, 0, 0];
  },
  2147483649: (model) => {
    const repeated = model.vendor === "amd" ? bits(model, LEAF1_EDX) & AMD_REPEATED : 0;
    return [0, 0, bits(model, EXTENDED_ECX), bits(model, EXTENDED_EDX) | repeated];
  },
  2147483650: () => brand(0),
  2147483651: () => brand(1),
  2147483652: () => brand(2),
  // Invariant TSC.
  2147483655: () => [0, 0, 0, 1 << 8],
  2147483656: (model) => {
    const linear = model.features.has("la57") ? 57 : 48;
    return [model.physicalBits | (linear << 8), 0, 0, 0];
  },
};

function brand(part: number): CpuidResult {
  const words = textWords(BRAND.padEnd(48, "\0"));
  return [words[4 * part]!, words[4 * part + 1]!, words[4 * part + 2]!, words[4 * part + 3]!];
}

const isHypervisorLeaf = (leaf: number): boolean => leaf >>> 28 === 4;

/**
 * CPUID. Hypervisor leaves are the board's. Beyond the last leaf Intel answers as for its last basic
 * one, AMD zeros (SDM 2A CPUID, APM 3 E.2).
 */
export function cpuid(ctx: SystemContext, leaf: number, subleaf: number): CpuidResult {
  const answer = answerOf(ctx, leaf, subleaf);
  ctx.board.cpuidExecuted?.(leaf, subleaf, answer);
  return answer.result;
}

function answerOf(ctx: SystemContext, leaf: number, subleaf: number): CpuidAnswer {
  const { model } = ctx;
  if (isHypervisorLeaf(leaf)) {
    const own = model.features.has("hypervisor") ? ctx.board.cpuid(leaf, subleaf) : undefined;
    return { result: own ? unsigned(own) : none, found: own !== undefined, usedMaxBasic: false };
  }
  const beyond = leaf > MAX_BASIC && (leaf < 0x80000000 || leaf > MAX_EXTENDED);
  const usedMaxBasic = beyond && model.vendor === "intel";
  const result = LEAVES[usedMaxBasic ? MAX_BASIC : leaf]?.(model, subleaf, ctx);
  const found = result !== undefined && !usedMaxBasic;
  return { result: unsigned(result ?? none), found, usedMaxBasic };
}

const unsigned = ([a, b, c, d]: CpuidResult): CpuidResult => [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
