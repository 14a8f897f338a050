import type { Symbols } from "../debug";

/** A line moved further than this is more likely another function than what the person meant. */
const FURTHEST = 30;

/** Where a breakpoint on a line stands. Lines count from 1. */
export interface PlacedLine {
  readonly addresses: readonly bigint[];
  readonly line: number;
  /** Why it could not be placed, or where it went. */
  readonly message?: string;
}

/** Places a breakpoint: on the line, on the next line with code, or nowhere with the reason. */
export function placeLine(symbols: Symbols, path: string, wanted: number): PlacedLine {
  if (!symbols.sources.some((source) => source.path === path)) {
    const message = "No image of this session was built from this file.";
    return { addresses: [], line: wanted, message };
  }
  const line = symbols.nextLineWithCode(path, wanted);
  if (line === undefined || line - wanted > FURTHEST) {
    const message = `There is no code at line ${wanted} or shortly after it.`;
    return { addresses: [], line: wanted, message };
  }
  return { addresses: symbols.addressesFor(path, line), line };
}
