import type { FaultOutcome, GuestFault, Hpa, Refill, WalkRoot, WalkRules } from "../x86";

/** What the hardware is given at VM entry. */
export interface HardwareTables {
  rules: WalkRules;
  root: WalkRoot<Hpa>;
}

/**
 * What differs between shadow paging and two-dimensional paging: which accesses and register writes
 * of the guest are VM exits, and what walks its tables. Calls are those of a `Board`.
 */
export interface VcpuPaging {
  /** Tables that the entry loads. */
  readonly tables: HardwareTables;
  refill(va: bigint, access: number): Refill;
  pageFault(va: bigint, error: number): FaultOutcome;
  cr0Written(old: bigint, value: bigint): GuestFault | undefined;
  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined;
  cr4Written(old: bigint, value: bigint): GuestFault | undefined;
  eferWritten(old: bigint, value: bigint): void;
  pkruWritten(): void;
  invlpg(va: bigint): void;
  invpcid(type: number, pcid: number, va: bigint): void;
  /**
   * The hypervisor is about to walk the guest's tables itself. The error code of a fault that the walk
   * would not find, or 0.
   */
  beforeGuestWalk(va: bigint, access: number): number;
  /**
   * Userspace has set the control registers, without an exit (KVM_SET_SREGS): nothing built for the old
   * ones is kept. False, with nothing changed, when PAE paging would load a PDPTE with a reserved bit set.
   */
  controlsReplaced(): boolean;
  /** Registers and roots are others, all at once: those of a snapshot, or of L2 after L1. */
  replaced(): void;
}
