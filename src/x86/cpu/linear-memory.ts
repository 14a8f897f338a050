import type { GuestFault } from "./board";
import type { Bytes } from "./insn";

/**
 * Guest memory by linear address, as an instruction run by TypeScript sees it. A transaction: reads and
 * writes are translated and checked as they are made, stores reach memory at `commit`, and after the
 * first fault nothing more happens (reads give 0). 32-bit linear addresses wrap outside 64-bit code.
 * Canonical checks are the caller's.
 */
export interface LinearMemory {
  /** First guest fault since `begin`; sticky. */
  readonly fault: GuestFault | undefined;
  begin(): void;
  /** `access`: ACCESS bits without `write`. */
  read(va: bigint, size: Bytes, access: number): bigint;
  /** Checked and translated now, stored at `commit`. */
  write(va: bigint, size: Bytes, value: bigint, access: number): void;
  /** All buffered stores, in order; only if there was no fault. */
  commit(): void;
}
