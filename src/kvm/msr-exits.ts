const TSC = 0x10;
const SYSENTER = [0x174, 0x175, 0x176];
const FS_GS_BASES = [0xc0000100, 0xc0000101, 0xc0000102];
/** STAR, LSTAR, CSTAR and SFMASK, which VMX switches by hand and SVM with the VMCB. */
const SYSCALL = [0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084];

/** MSRs that KVM lets its guests use without an exit (vmx_possible_passthrough_msrs, direct_access_msrs). */
const PASSED_THROUGH = {
  vmx: new Set([...SYSENTER, ...FS_GS_BASES]),
  svm: new Set([...SYSENTER, ...FS_GS_BASES, ...SYSCALL]),
} as const;

/** Whether RDMSR or WRMSR of an MSR that is the processor's own is a VM exit. */
export function msrExits(vendor: "vmx" | "svm", write: boolean, index: number): boolean {
  if (PASSED_THROUGH[vendor].has(index)) return false;
  // Reads of the TSC are passed through under VMX alone; all writes exit.
  return write || vendor === "svm" || index !== TSC;
}
