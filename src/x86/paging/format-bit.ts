import type { EntryBit } from "./entry-bit";
import type { FormatMode } from "./format";

/**
 * What an entry is: `table` points to a lower table, `page` is a PTE, `large` maps a page above
 * level 1, `register` is a PAE PDPTE.
 */
export type EntryRole = "table" | "page" | "large" | "register";

/** A row with the entries it belongs to. */
export interface FormatBit extends EntryBit {
  readonly roles: readonly EntryRole[];
  /** All modes when absent. */
  readonly modes?: readonly FormatMode[];
  /** All levels when absent. */
  readonly levels?: readonly number[];
  /** Only at levels where the format allows large pages. */
  readonly whereLarge?: true;
}
