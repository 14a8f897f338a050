/**
 * One named bit or field of a word: the single place its letter, name, meaning and manual section
 * are written. Flag text, tooltips, spoken labels and expression fields are all made from rows.
 */
export interface EntryBit {
  /** Lowest bit number. */
  readonly bit: number;
  /** Bits of a field; 1 when absent. */
  readonly width?: number;
  /** Name in expressions: `gpte(…).w`. */
  readonly id: string;
  /** Letter in flag text; a field without one is not part of it. */
  readonly flag?: string;
  readonly name: string;
  /** Volume and section of the Intel SDM, or the source that defines a software bit. */
  readonly sdm: string;
  /** What it means when set (a field: nonzero). */
  readonly on: string;
  /** What it means when clear. */
  readonly off: string;
  /** Spoken when clear too, by `off`: the rights of an entry. */
  readonly spokenWhenClear?: true;
}

/** Value of a row's bits in a word. */
export const bitValue = (row: EntryBit, word: bigint): bigint =>
  (word >> BigInt(row.bit)) & ((1n << BigInt(row.width ?? 1)) - 1n);

export const isSet = (row: EntryBit, word: bigint): boolean => bitValue(row, word) !== 0n;

/** Letters of the bits that are set, in the order of the rows: "P W U A D". */
export const flagText = (rows: readonly EntryBit[], word: bigint): string =>
  rows
    .filter((row) => row.flag !== undefined && isSet(row, word))
    .map((row) => row.flag)
    .join(" ");

/** One line per row, for tooltips: "1 W writable: writes allowed". */
export const describeBits = (rows: readonly EntryBit[], word: bigint): string[] =>
  rows.map((row) => describeBit(row, word));

export function describeBit(row: EntryBit, word: bigint): string {
  const { bit, width = 1, flag, name } = row;
  const place = width > 1 ? `${bit + width - 1}:${bit}` : `${bit}`;
  const value = bitValue(row, word);
  const shown = width > 1 ? ` = 0x${value.toString(16)}` : "";
  return `${place} ${flag ? `${flag} ` : ""}${name}${shown}: ${value === 0n ? row.off : row.on}`;
}

/** The flags in words, for a screen reader: "present, read-only, user, accessed". */
export const spokenBits = (rows: readonly EntryBit[], word: bigint): string =>
  rows
    .filter((row) => row.flag !== undefined)
    .flatMap((row) => (isSet(row, word) ? [row.name] : row.spokenWhenClear ? [row.off] : []))
    .join(", ");

/** Each row's value under its id; single bits are booleans. */
export const bitFields = (
  rows: readonly EntryBit[],
  word: bigint,
): Readonly<Record<string, boolean | bigint>> =>
  Object.fromEntries(
    rows.map((row) => [row.id, row.width === undefined ? isSet(row, word) : bitValue(row, word)]),
  );
