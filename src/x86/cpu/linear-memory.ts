import type { GuestFault } from "./board";
import type { Bytes } from "./insn";

/**
 * Guest memory by linear address, as an instruction run by TypeScript sees it. A transaction: reads and
 * writes are translated and checked as they are made, stores reach memory at `commit`, and after the
 * first fault nothing more happens (reads give 0). Wrapping to 32 bits and canonical checks are the
 * caller's: system structures have 64-bit addresses also in compatibility mode.
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
