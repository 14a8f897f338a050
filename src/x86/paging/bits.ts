// The table of the bits of guest paging-structure entries, and which rows an entry has.
import { type EntryBit, flagText } from "./entry-bit";
import { EPT_BITS } from "./ept-bits";
import type { Format } from "./format";
import type { EntryRole, FormatBit } from "./format-bit";

const inMemory = ["table", "page", "large"] as const;
const everywhere = [...inMemory, "register"] as const;
const leaf = ["page", "large"] as const;
const wide = ["PAE", "4-level", "5-level"] as const;
const long = ["4-level", "5-level"] as const;

const rows: readonly FormatBit[] = [
  {
    bit: 0,
    id: "p",
    flag: "P",
    name: "present",
    sdm: "3A 4.7",
    on: "the entry is used",
    off: "not present",
    spokenWhenClear: true,
    roles: everywhere,
  },
  {
    bit: 1,
    id: "w",
    flag: "W",
    name: "writable",
    sdm: "3A 4.6.1",
    on: "writes allowed",
    off: "read-only",
    spokenWhenClear: true,
    roles: inMemory,
  },
  {
    bit: 2,
    id: "u",
    flag: "U",
    name: "user",
    sdm: "3A 4.6.1",
    on: "user-mode accesses allowed",
    off: "supervisor only",
    spokenWhenClear: true,
    roles: inMemory,
  },
  {
    bit: 3,
    id: "pwt",
    flag: "PWT",
    name: "write-through",
    sdm: "3A 4.9",
    on: "part of the memory type: write-through",
    off: "part of the memory type: write-back",
    roles: everywhere,
  },
  {
    bit: 4,
    id: "pcd",
    flag: "PCD",
    name: "cache disabled",
    sdm: "3A 4.9",
    on: "part of the memory type: not cached",
    off: "part of the memory type: cached",
    roles: everywhere,
  },
  {
    bit: 5,
    id: "a",
    flag: "A",
    name: "accessed",
    sdm: "3A 4.8",
    on: "used by a translation since it was last cleared",
    off: "not used since it was last cleared",
    roles: inMemory,
  },
  {
    bit: 6,
    id: "d",
    flag: "D",
    name: "dirty",
    sdm: "3A 4.8",
    on: "the page was written since it was last cleared",
    off: "the page was not written since it was last cleared",
    roles: leaf,
  },
  {
    bit: 7,
    id: "ps",
    flag: "PS",
    name: "large page",
    sdm: "3A 4.3, 4.4, 4.5",
    on: "maps a page",
    off: "points to a table",
    roles: ["large"],
  },
  {
    bit: 7,
    id: "ps",
    flag: "PS",
    name: "large page",
    sdm: "3A 4.3, 4.4, 4.5",
    on: "maps a page",
    off: "points to a table",
    roles: ["table"],
    whereLarge: true,
  },
  {
    bit: 7,
    id: "pat",
    flag: "PAT",
    name: "PAT",
    sdm: "3A 4.9.2",
    on: "memory type from the upper half of the PAT",
    off: "memory type from the lower half of the PAT",
    roles: ["page"],
  },
  {
    bit: 8,
    id: "g",
    flag: "G",
    name: "global",
    sdm: "3A 4.10.2.4",
    on: "kept by the TLB when CR3 is loaded (with CR4.PGE)",
    off: "dropped from the TLB when CR3 is loaded",
    roles: leaf,
  },
  {
    bit: 12,
    id: "pat",
    flag: "PAT",
    name: "PAT",
    sdm: "3A 4.9.2",
    on: "memory type from the upper half of the PAT",
    off: "memory type from the lower half of the PAT",
    roles: ["large"],
  },
  {
    bit: 63,
    id: "nx",
    flag: "NX",
    name: "no execute",
    sdm: "3A 4.6.1",
    on: "instruction fetches refused",
    off: "executable",
    spokenWhenClear: true,
    roles: inMemory,
    modes: wide,
  },
  {
    bit: 9,
    width: 3,
    id: "avl",
    name: "available",
    sdm: "3A 4.3, 4.4, 4.5",
    on: "for software; ignored by the processor",
    off: "for software; ignored by the processor",
    roles: everywhere,
  },
  {
    bit: 52,
    width: 7,
    id: "avl2",
    name: "available",
    sdm: "3A 4.5",
    on: "for software; ignored by the processor",
    off: "for software; ignored by the processor",
    roles: inMemory,
    modes: long,
  },
  {
    bit: 59,
    width: 4,
    id: "pkey",
    name: "protection key",
    sdm: "3A 4.6.2",
    on: "index into PKRU (with CR4.PKE)",
    off: "key 0",
    roles: leaf,
    modes: long,
  },
  {
    bit: 12,
    width: 40,
    id: "frame",
    name: "frame",
    sdm: "3A 4.4, 4.5",
    on: "4 KiB frame of the table",
    off: "frame 0",
    roles: ["table", "register"],
    modes: wide,
  },
  {
    bit: 12,
    width: 40,
    id: "frame",
    name: "frame",
    sdm: "3A 4.4, 4.5",
    on: "4 KiB frame of the page",
    off: "frame 0",
    roles: ["page"],
    modes: wide,
  },
  {
    bit: 21,
    width: 31,
    id: "frame2m",
    name: "frame",
    sdm: "3A 4.4, 4.5",
    on: "2 MiB frame of the page",
    off: "frame 0",
    roles: ["large"],
    modes: wide,
    levels: [2],
  },
  {
    bit: 30,
    width: 22,
    id: "frame1g",
    name: "frame",
    sdm: "3A 4.5",
    on: "1 GiB frame of the page",
    off: "frame 0",
    roles: ["large"],
    modes: wide,
    levels: [3],
  },
  {
    bit: 12,
    width: 20,
    id: "frame",
    name: "frame",
    sdm: "3A 4.3",
    on: "4 KiB frame of the table",
    off: "frame 0",
    roles: ["table"],
    modes: ["32-bit"],
  },
  {
    bit: 12,
    width: 20,
    id: "frame",
    name: "frame",
    sdm: "3A 4.3",
    on: "4 KiB frame of the page",
    off: "frame 0",
    roles: ["page"],
    modes: ["32-bit"],
  },
  {
    bit: 13,
    width: 4,
    id: "pse36",
    name: "upper address",
    sdm: "3A 4.3",
    on: "bits 35:32 of the page's address",
    off: "the page is below 4 GiB",
    roles: ["large"],
    modes: ["32-bit"],
  },
  {
    bit: 22,
    width: 10,
    id: "frame4m",
    name: "frame",
    sdm: "3A 4.3",
    on: "4 MiB frame of the page",
    off: "frame 0",
    roles: ["large"],
    modes: ["32-bit"],
  },
];

const levelNames = ["", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"];

/** The manual's name of an entry at this level: "PML4E" … "PTE". */
export const entryName = (level: number): string => levelNames[level] ?? "";

/** What the entry is, as far as bit 7 and the level say (also when it is not present). */
export function entryRole(format: Format, level: number, entry: bigint): EntryRole {
  if (level === 1) return "page";
  if (format.rootInRegisters && level === format.levels) return "register";
  return format.large[level] && entry & 0x80n ? "large" : "table";
}

/** The rows that give an entry at this level its meaning. */
export function entryBits(format: Format, level: number, entry: bigint): readonly EntryBit[] {
  const role = entryRole(format, level, entry);
  return (format.ept ? EPT_BITS : rows).filter(
    ({ roles, modes, levels, whereLarge }) =>
      roles.includes(role) &&
      (!whereLarge || format.large[level] === true) &&
      (modes?.includes(format.mode) ?? true) &&
      (levels?.includes(level) ?? true),
  );
}

/** Letters of the bits that are set: "P W U A D"; "not present" when the entry is not used. */
export const entryFlags = (format: Format, level: number, entry: bigint): string =>
  entry & BigInt(format.present) ? flagText(entryBits(format, level, entry), entry) : "not present";

/** The 4 KiB frame of the table or of the first page that the entry points to. */
export function entryFrame(format: Format, level: number, entry: bigint): number {
  const large = entryRole(format, level, entry) === "large";
  const pages = BigInt(large ? (format.pages[level] ?? 1) : 1);
  const frame = (entry & 0xffffffffff000n) >> 12n;
  const upper = large && format.entryBytes === 4 ? ((entry >> 13n) & 0xfn) << 20n : 0n;
  return Number(frame - (frame % pages) + upper);
}
