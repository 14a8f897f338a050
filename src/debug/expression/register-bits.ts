// Named bits of registers and error codes, as tables. Sources: SDM 3A 2.3, 2.5, 4.7; SDM 1 3.4.3; MSR IA32_EFER.
import type { NamedBit } from "./bits";

export const RFLAGS_BITS: readonly NamedBit[] = [
  { bit: 0, id: "cf", name: "carry" },
  { bit: 2, id: "pf", name: "parity" },
  { bit: 4, id: "af", name: "auxiliary carry" },
  { bit: 6, id: "zf", name: "zero" },
  { bit: 7, id: "sf", name: "sign" },
  { bit: 8, id: "tf", name: "trap" },
  { bit: 9, id: "if", name: "interrupts enabled" },
  { bit: 10, id: "df", name: "direction" },
  { bit: 11, id: "of", name: "overflow" },
  { bit: 12, width: 2, id: "iopl", name: "I/O privilege level" },
  { bit: 14, id: "nt", name: "nested task" },
  { bit: 16, id: "rf", name: "resume" },
  { bit: 17, id: "vm", name: "virtual-8086 mode" },
  { bit: 18, id: "ac", name: "alignment check, access control" },
  { bit: 19, id: "vif", name: "virtual interrupts enabled" },
  { bit: 20, id: "vip", name: "virtual interrupt pending" },
  { bit: 21, id: "id", name: "CPUID can be tried" },
];

export const CR0_BITS: readonly NamedBit[] = [
  { bit: 0, id: "pe", name: "protected mode" },
  { bit: 1, id: "mp", name: "monitor coprocessor" },
  { bit: 2, id: "em", name: "emulate x87" },
  { bit: 3, id: "ts", name: "task switched" },
  { bit: 4, id: "et", name: "extension type" },
  { bit: 5, id: "ne", name: "numeric errors as #MF" },
  { bit: 16, id: "wp", name: "supervisor respects read-only pages" },
  { bit: 18, id: "am", name: "alignment mask" },
  { bit: 29, id: "nw", name: "not write-through" },
  { bit: 30, id: "cd", name: "caches disabled" },
  { bit: 31, id: "pg", name: "paging" },
];

export const CR4_BITS: readonly NamedBit[] = [
  { bit: 0, id: "vme", name: "virtual-8086 extensions" },
  { bit: 1, id: "pvi", name: "protected-mode virtual interrupts" },
  { bit: 2, id: "tsd", name: "RDTSC for ring 0 only" },
  { bit: 3, id: "de", name: "debugging extensions" },
  { bit: 4, id: "pse", name: "4 MiB pages" },
  { bit: 5, id: "pae", name: "physical address extension" },
  { bit: 6, id: "mce", name: "machine checks" },
  { bit: 7, id: "pge", name: "global pages" },
  { bit: 8, id: "pce", name: "RDPMC in every ring" },
  { bit: 9, id: "osfxsr", name: "SSE enabled by the system" },
  { bit: 10, id: "osxmmexcpt", name: "SIMD faults as #XM" },
  { bit: 11, id: "umip", name: "user-mode instruction prevention" },
  { bit: 12, id: "la57", name: "5-level paging" },
  { bit: 13, id: "vmxe", name: "VMX" },
  { bit: 14, id: "smxe", name: "SMX" },
  { bit: 16, id: "fsgsbase", name: "RDFSBASE and kin" },
  { bit: 17, id: "pcide", name: "process-context identifiers" },
  { bit: 18, id: "osxsave", name: "XSAVE enabled by the system" },
  { bit: 20, id: "smep", name: "supervisor may not execute user pages" },
  { bit: 21, id: "smap", name: "supervisor may not touch user pages" },
  { bit: 22, id: "pke", name: "protection keys" },
];

export const EFER_BITS: readonly NamedBit[] = [
  { bit: 0, id: "sce", name: "SYSCALL" },
  { bit: 8, id: "lme", name: "long mode enabled" },
  { bit: 10, id: "lma", name: "long mode active" },
  { bit: 11, id: "nxe", name: "no-execute bits" },
];

/** Page-fault error code, figure 4-12. */
export const PAGE_FAULT_BITS: readonly NamedBit[] = [
  { bit: 0, id: "p", name: "the page was present" },
  { bit: 1, id: "w", name: "a write" },
  { bit: 2, id: "u", name: "from user mode" },
  { bit: 3, id: "rsvd", name: "a reserved bit was set" },
  { bit: 4, id: "f", name: "an instruction fetch" },
  { bit: 5, id: "pk", name: "refused by the protection key" },
];
