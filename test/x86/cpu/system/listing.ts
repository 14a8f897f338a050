/** Where a program is loaded. */
export const ORIGIN = 0x7c00;

export interface Program {
  readonly bytes: Uint8Array;
  /** Address of each label. */
  readonly labels: ReadonlyMap<string, number>;
}

/** Reads an assembler listing: `label:` lines, and hex bytes with the instruction behind a bar. */
export function listing(text: string): Program {
  const bytes: number[] = [];
  const labels = new Map<string, number>();
  for (const line of text.split("\n")) {
    const label = /^(\w+):/.exec(line)?.[1];
    if (label) labels.set(label, ORIGIN + bytes.length);
    else
      for (const byte of line.split("|")[0]!.trim().split(" "))
        if (byte) bytes.push(Number.parseInt(byte, 16));
  }
  return { bytes: Uint8Array.from(bytes), labels };
}
