import type { Gfn, Gpa, Hpa, Pfn } from "../address";

/** The space a table lives in: guest-physical for the guest's own tables, host-physical for shadow tables. */
export type Physical = Gpa | Hpa;
/** Frame numbers of that space. */
export type FrameOf<A extends Physical> = A extends Gpa ? Gfn : Pfn;

/** A paging-structure entry as two unsigned halves; `hi` is 0 for a 4-byte entry. */
export interface Entry {
  lo: number;
  hi: number;
}

/**
 * What became of an A/D update: `read-only` leaves the bits as they are, `changed` restarts the walk,
 * `unreadable` ends it.
 */
export type ExchangeOutcome = "done" | "changed" | "read-only" | "unreadable";

/** Memory as the walker sees it: the only thing a walk reads or changes. */
export interface TablePort<A extends Physical> {
  /** Reads the entry at `at`, aligned to `bytes`; false when nothing is there, which counts as not present. */
  load(at: A, bytes: 4 | 8, entry: Entry): boolean;
  /** Replaces `expected` by `desired` atomically. A port without it sets no A/D bits. */
  exchange?(at: A, bytes: 4 | 8, expected: Entry, desired: Entry): ExchangeOutcome;
}

/** A port that cannot change anything: what a debugger walks with. */
export interface PassivePort<A extends Physical> extends TablePort<A> {
  readonly exchange?: never;
}
