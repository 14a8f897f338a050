import type { PdpteRegisters } from "../../x86";

/** One TLB entry. */
export interface CachedTranslation {
  readonly va: bigint;
  /** Byte offset of the 4 KiB frame in the machine's memory. */
  readonly offset: number;
  readonly writable: boolean;
}

/**
 * The registers of one vCPU as the MMU reads them, and the TLB it may flush. Getters are live: the
 * MMU keeps no copy but the roles it derived from them.
 */
export interface GuestCpu {
  readonly cr0: bigint;
  /** Without bit 63. */
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly cpl: number;
  /** EFLAGS.AC. */
  readonly ac: boolean;
  readonly pkru: number;
  readonly rip: bigint;
  /** An exception or interrupt is being delivered: accesses are not those of an instruction. */
  readonly delivering: boolean;
  /** What the TLB holds, for the checker; a processor that cannot tell leaves it out. */
  tlbEntries?(): Iterable<CachedTranslation>;
  /** Shows the PDPTEs that PAE paging has just loaded in the processor's registers. */
  setPdptes(words: PdpteRegisters): void;
  /** Drops every translation. */
  flushTlb(): void;
  /** Drops the translation of the page of `va`, all of it when the page is large. */
  flushTlbPage(va: bigint): void;
}
