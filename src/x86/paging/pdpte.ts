import { CR0, CR4 } from "../cpu/layout";
import type { FormatMode } from "./format";
import { pdpteReserved } from "./reserved";
import type { Entry, Physical, TablePort } from "./table-port";
import type { PdpteRegisters } from "./walk";

/** The four PDPTE registers, all absent. */
export const pdpteRegisters = (): PdpteRegisters => new Uint32Array(8);

/** Bits whose change makes PAE paging read its four top entries again, as MOV to CR3 does (SDM 3A 4.4.1). */
export const PDPTE_RELOAD = {
  cr0: CR0.PG | CR0.CD | CR0.NW,
  cr4: CR4.PAE | CR4.PGE | CR4.PSE | CR4.SMEP,
} as const;

/** Address of the PDPTE table: bits 31:5 of CR3 (SDM 3A table 4-7). */
export const pdpteTable = (cr3: bigint): number => Number(cr3 & 0xffffffe0n);

/**
 * Address of the top table that CR3 names outside PAE paging: bits 51:12, or 31:12 with 4-byte
 * entries (SDM 3A tables 4-3, 4-12). PCID, PWT and PCD are not part of it.
 */
export const topTable = (mode: FormatMode, cr3: bigint): number =>
  Number(cr3 & (mode === "32-bit" ? 0xfffff000n : 0xffffffffff000n));

/** Present, with a reserved bit set. */
export function isBadPdpte({ lo, hi }: Entry, physicalBits: number): boolean {
  const mask = pdpteReserved(physicalBits);
  const reserved = (lo & Number(mask & 0xffffffffn)) | (hi & Number(mask >> 32n));
  return (lo & 1) !== 0 && reserved !== 0;
}

/**
 * Loads the PDPTEs as MOV to CR3 does (SDM 3A 4.4.1). Undefined, with `into` untouched, when a
 * present one has a reserved bit set: the instruction then faults with #GP(0). A table where there
 * is no memory reads as absent entries.
 */
export function loadPdptes<A extends Physical>(
  port: TablePort<A>,
  table: A,
  physicalBits: number,
  into: PdpteRegisters,
): PdpteRegisters | undefined {
  const loaded = pdpteRegisters();
  const entry: Entry = { lo: 0, hi: 0 };
  for (let i = 0; i < 4; i++) {
    if (!port.load((table + 8 * i) as A, 8, entry)) continue;
    if (isBadPdpte(entry, physicalBits)) return undefined;
    loaded[2 * i] = entry.lo;
    loaded[2 * i + 1] = entry.hi;
  }
  into.set(loaded);
  return into;
}
