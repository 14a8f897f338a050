import { readFileSync } from "node:fs";
import { Symbols } from "../../src/debug";

/** The two builds of `fixtures/sample.c`: DWARF 4 at -O0, DWARF 5 at -O2. */
export const fixture = (name: "sample-v4" | "sample-v5"): Uint8Array =>
  new Uint8Array(readFileSync(`test/debug/fixtures/${name}.elf`));

export function loaded(name: "sample-v4" | "sample-v5", base = 0n): Symbols {
  const symbols = new Symbols();
  symbols.load(fixture(name), name, base);
  return symbols;
}

export const SAMPLE_C = "test/debug/fixtures/sample.c";
export const ENTRY_S = "test/debug/fixtures/entry.S";
