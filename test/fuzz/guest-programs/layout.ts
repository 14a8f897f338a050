import type { Mode } from "../paging-ops/setup";

/** Modes that programs are written for. */
export type PagedMode = Exclude<Mode, "none">;

/** Where the parts of a fuzzed guest are. The kernel sees gpa 0 … 8 MiB at the same addresses. */
export const MEMORY = 8 * 2 ** 20;
export const GDT = 0x120000;
export const IDT = 0x121000;
export const HANDLERS = 0x122000;
/** A page a vCPU for its TSS, its INVPCID descriptor at 0x800. */
export const TSS = 0x124000;
export const DESCRIPTOR = 0x800;
/** Counters that the vCPUs wait at, 4 bytes each. */
export const BARRIERS = 0x128000;
/** Kernel stacks grow down from here, 0x4000 bytes a vCPU. */
export const STACKS = 0x140000;
export const stackTop = (vcpu: number): number => STACKS + 0x4000 * (vcpu + 1);
/** Code, 0x30000 bytes a vCPU. */
export const codeOf = (vcpu: number): number => 0x160000 + 0x30000 * vcpu;

/** Two roots that share all below them. */
export const ROOTS = [0x240000, 0x241000] as const;
/** The tables of the kernel's map, one after the other. */
export const KERNEL_TABLES = 0x242000;
/** The directory of the tested region. */
export const DIRECTORY = 0x250000;
/** Level-1 tables of the tested region, one for each of its parts. */
export const TABLES = [0x251000, 0x252000, 0x253000, 0x254000] as const;

/** Frames the tested pages may map; each begins with a jump through esi, so that a fetch comes back. */
export const FRAMES = Array.from({ length: 12 }, (_, i) => 0x300000 + i * 0x1000);
/** Bytes at the start of a frame that are code and are never written. */
export const CODE_BYTES = 16;
/** A large page (2 or 4 MiB) that holds nothing else: never executable where that can be said. */
export const LARGE_FRAME = 0x400000;

/** First address of the tested region. */
export const REGION = 0x40000000;
/** Where ring 3 sees gpa 0 … 8 MiB, read-only. */
export const USER_ALIAS = 0x80000000;
/** Pages in use of each part of the tested region. */
export const PAGES = 6;

export const isLong = (mode: PagedMode): boolean => mode === "4-level" || mode === "5-level";
export const entryBytes = (mode: PagedMode): 4 | 8 => (mode === "32-bit" ? 4 : 8);
/** Bytes that one level-1 table maps: a part of the tested region. */
export const partBytes = (mode: PagedMode): number => (mode === "32-bit" ? 0x400000 : 0x200000);
export const pageAt = (mode: PagedMode, part: number, page: number): number =>
  REGION + part * partBytes(mode) + page * 0x1000;
