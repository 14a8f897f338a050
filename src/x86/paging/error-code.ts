import { describeBits, type EntryBit, flagText } from "./entry-bit";
import { PFEC } from "./permission";

const row = (
  mask: number,
  id: string,
  flag: string,
  name: string,
  on: string,
  off: string,
): EntryBit => ({ bit: Math.log2(mask), id, flag, name, sdm: "3A 4.7", on, off });

/** Bits of a page-fault error code. */
export const PFEC_BITS: readonly EntryBit[] = [
  row(PFEC.present, "p", "P", "present", "the page was present", "the page was not present"),
  row(PFEC.write, "w", "W", "write", "by a write", "by a read"),
  row(PFEC.user, "u", "U", "user", "in user mode", "in supervisor mode"),
  row(
    PFEC.reserved,
    "rsvd",
    "RSVD",
    "reserved",
    "a reserved bit was set",
    "no reserved bit was set",
  ),
  row(
    PFEC.fetch,
    "f",
    "F",
    "fetch",
    "by an instruction fetch",
    "not by a fetch, as far as the processor tells",
  ),
  row(
    PFEC.protectionKey,
    "pk",
    "PK",
    "protection key",
    "refused by a protection key",
    "not by a protection key",
  ),
];

/** Letters of an error code: "P W U"; "0" for a supervisor read of an absent page. */
export const errorFlags = (error: number): string => flagText(PFEC_BITS, BigInt(error)) || "0";

/** An error code as a sentence part: "user write to a page that is not present". */
export function errorText(error: number): string {
  const who = error & PFEC.user ? "user" : "supervisor";
  const what = error & PFEC.fetch ? "fetch from" : error & PFEC.write ? "write to" : "read of";
  return `${who} ${what} a page ${reasonText(error)}`;
}

/** One line per bit, for tooltips. */
export const describeError = (error: number): string[] => describeBits(PFEC_BITS, BigInt(error));

function reasonText(error: number): string {
  if (!(error & PFEC.present)) return "that is not present";
  if (error & PFEC.reserved) return "with a reserved bit set in its tables";
  return error & PFEC.protectionKey ? "whose protection key refuses it" : "that does not allow it";
}
