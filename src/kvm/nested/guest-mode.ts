import type { PdpteRegisters } from "../../x86";

/**
 * The second dimension that L1 gave to L2, as SVM has it (APM 2 15.25): nCR3, and the registers of L1 that
 * say how the tables there are read. Those are long-mode, PAE or 32-bit tables; L1 pages, so `hcr0` has PG.
 */
export interface NestedNpt {
  readonly ncr3: bigint;
  readonly hcr0: bigint;
  readonly hcr4: bigint;
  readonly efer: bigint;
}

/** The same under VMX: an EPTP that VM entry has found good (SDM 3C 26.2.1.1). */
export interface NestedEpt {
  readonly eptp: bigint;
}

export type NestedPaging = NestedNpt | NestedEpt;

/** Where the tables begin that L1 gave to L2: nCR3 or EPTP, with what else these say. */
export const nestedPgd = (paging: NestedPaging): bigint =>
  "eptp" in paging ? paging.eptp : paging.ncr3;

/** How L2 was entered. */
export interface GuestMode {
  /** Absent: L2's addresses are L1's, translated by CR3 alone. */
  readonly nestedPaging: NestedPaging | undefined;
}

/** What is asked for at the entry of L2 (VMRUN), besides its registers, which the processor has by then. */
export interface GuestModeEntry {
  readonly nestedPaging?: NestedPaging;
  /** L1 asks for a flush of L2's translations (TLB_CONTROL): until then they may be those of before. */
  readonly flush?: boolean;
  /** Of an L2 with EPT under PAE paging: the VMCS has them (SDM 3C 26.3.2.4). */
  readonly pdptes?: PdpteRegisters;
}

/** SVM_EXIT_NPF. */
export const EXIT_NPF = 0x400;
/** VMX basic exit reasons (SDM 3C appendix C). */
export const EXIT_EPT = { violation: 48, misconfiguration: 49 } as const;

/** An exit of L2 that is L1's affair, in the fields of L1's VMCB (APM 2 15.25.6). */
export interface NestedNpf {
  readonly kind: "npf";
  readonly exitCode: typeof EXIT_NPF;
  /** A page-fault error code and the bits of `NPF`: may pass 2^32. */
  readonly exitInfo1: number;
  /** The ngpa. */
  readonly exitInfo2: number;
}

/** … and of L1's VMCS (SDM 3C 27.2.1). */
export interface NestedEptExit {
  readonly kind: "ept";
  readonly exitReason: (typeof EXIT_EPT)[keyof typeof EXIT_EPT];
  /** `EPT_QUALIFICATION` bits of a violation, else 0. */
  readonly exitQualification: number;
  /** The ngpa. */
  readonly guestPhysicalAddress: number;
}

export type NestedExit = NestedNpf | NestedEptExit;
