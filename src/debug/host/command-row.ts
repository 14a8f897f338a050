/** A command of the console as help shows it. The arguments in the signature drive completion. */
export interface CommandRow {
  /** `host limit <size>|none`: words, places for values in angle brackets, `[ ]` around what may be left out. */
  readonly signature: string;
  readonly about: string;
}

/** Columns: signature, and what it does. A signature longer than the column has a line to itself. */
export function helpText(rows: readonly CommandRow[]): string {
  const width = Math.min(WIDEST, Math.max(...rows.map(({ signature }) => signature.length)));
  return rows
    .map(({ signature, about }) =>
      signature.length > width
        ? `${signature}\n${" ".repeat(width)} ${about}`
        : `${signature.padEnd(width)} ${about}`,
    )
    .join("\n");
}

const WIDEST = 36;
