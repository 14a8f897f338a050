// The bits of a guest paging entry by name, as a table (SDM 3A 4.5, tables 4-15 to 4-20).
import type { NamedBit } from "../expression/bits";

interface GpteBit extends NamedBit {
  /** Entries it exists in: all, those that map a page, pages of 4 KiB, larger pages, those that point to a table. */
  readonly in: "all" | "leaf" | "small" | "large" | "table";
}

const BITS: readonly GpteBit[] = [
  { bit: 0, id: "p", name: "present", in: "all" },
  { bit: 1, id: "w", name: "writable", in: "all" },
  { bit: 2, id: "u", name: "user", in: "all" },
  { bit: 3, id: "pwt", name: "write-through", in: "all" },
  { bit: 4, id: "pcd", name: "cache disabled", in: "all" },
  { bit: 5, id: "a", name: "accessed", in: "all" },
  { bit: 6, id: "d", name: "dirty", in: "leaf" },
  { bit: 7, id: "pat", name: "page attribute", in: "small" },
  { bit: 7, id: "ps", name: "large page", in: "large" },
  { bit: 8, id: "g", name: "global", in: "leaf" },
  { bit: 12, id: "pat", name: "page attribute", in: "large" },
  { bit: 59, width: 4, id: "pk", name: "protection key", in: "leaf" },
  { bit: 63, id: "nx", name: "no execution", in: "all" },
];

/** The bits that mean something in an entry of this level. */
export function gpteBits(level: number, large: boolean): readonly NamedBit[] {
  const leaf = level === 1 || large;
  const where = { all: true, leaf, small: level === 1, large: leaf && level > 1, table: !leaf };
  return BITS.filter((row) => where[row.in]);
}
