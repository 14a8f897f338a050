import { CR0, CR4, EFER } from "../../../src/x86";
import type { Mode, Setup } from "./setup";

/*
 * Page translation as the manual tells it (SDM 3A 4.1 … 4.7), in the plainest form: the oracle of the
 * runs. It shares no code with the product's walker.
 */

/** Registers that translation depends on. */
export interface PlainRegisters {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly pkru: number;
  readonly ac: boolean;
  /** The PDPTE registers of PAE paging. */
  readonly pdptes: readonly bigint[];
}

/** Who does what. `implicit`: a system access at CPL 3, made with supervisor rights. */
export interface PlainAccess {
  readonly kind: "read" | "write" | "fetch";
  readonly cpl: 0 | 3;
  readonly implicit: boolean;
}

export type Features = Pick<Setup, "physicalBits" | "gigabytePages" | "pse36" | "mmu">;

/** PAE paging keeps its PDPTEs in registers, but with nested paging, where they are memory (APM 2 15.25.10). */
export const hasPdpteRegisters = ({ mmu }: Features): boolean => mmu !== "npt";

export const P = 1n;
export const W = 2n;
export const U = 4n;
export const A = 0x20n;
export const D = 0x40n;
export const PS = 0x80n;
export const NX = 1n << 63n;

export function modeOf({ cr0, cr4, efer }: PlainRegisters): Mode {
  if (!(cr0 & CR0.PG)) return "none";
  if (efer & EFER.LMA) return cr4 & CR4.LA57 ? "5-level" : "4-level";
  return cr4 & CR4.PAE ? "PAE" : "32-bit";
}

const LEVELS: Readonly<Record<Mode, number>> = {
  none: 0,
  "32-bit": 2,
  PAE: 3,
  "4-level": 4,
  "5-level": 5,
};
export const levelsOf = (mode: Mode): number => LEVELS[mode];
export const entryBytesOf = (mode: Mode): 4 | 8 => (mode === "32-bit" ? 4 : 8);

const field = (value: bigint, low: number, width: number): bigint =>
  (value >> BigInt(low)) & ((1n << BigInt(width)) - 1n);

/** Lowest address bit that the index of a level stands for. */
export const shiftOf = (mode: Mode, level: number): number =>
  mode === "32-bit" ? [0, 12, 22][level]! : 12 + 9 * (level - 1);

/** Where the entry for `va` is in the table at `table`. */
export function entryAddress(mode: Mode, level: number, table: number, va: bigint): number {
  const bits = mode === "32-bit" ? 10 : mode === "PAE" && level === 3 ? 2 : 9;
  return table + entryBytesOf(mode) * Number(field(va, shiftOf(mode, level), bits));
}

/** The table that CR3 names; under PAE the four entries that are loaded into registers. */
export function rootTable(mode: Mode, cr3: bigint): number {
  if (mode === "32-bit") return Number(field(cr3, 12, 20)) * 4096;
  return mode === "PAE" ? Number(field(cr3, 5, 27)) * 32 : Number(field(cr3, 12, 40)) * 4096;
}

/** The entry maps a page rather than a table. */
export function mapsPage(
  mode: Mode,
  level: number,
  entry: bigint,
  registers: PlainRegisters,
): boolean {
  if (level === 1) return true;
  if (!(entry & PS)) return false;
  if (mode === "32-bit") return (registers.cr4 & CR4.PSE) !== 0n;
  return level === 2 || (level === 3 && mode !== "PAE");
}

/** First gpa of the table or page that an entry points to. */
export function target(mode: Mode, level: number, entry: bigint, leaf: boolean): number {
  if (mode === "32-bit") {
    if (!leaf || level === 1) return Number(field(entry, 12, 20)) * 4096;
    return Number(field(entry, 22, 10)) * 0x400000 + Number(field(entry, 13, 4)) * 2 ** 32;
  }
  const frame = Number(field(entry, 12, 40));
  return leaf ? (frame - (frame % 512 ** (level - 1))) * 4096 : frame * 4096;
}

/** The address as the mode has it: 32 bits wide, or canonical; undefined where it is #GP. */
export function linearAddress(mode: Mode, va: bigint): bigint | undefined {
  if (levelsOf(mode) < 4) return va & 0xffffffffn;
  const canonical = BigInt.asUintN(64, BigInt.asIntN(mode === "5-level" ? 57 : 48, va));
  return canonical === va ? va : undefined;
}

const bits = (low: number, high: number): bigint =>
  high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);

/** Bits that must be 0 in a present entry. */
export function reservedBits(
  mode: Mode,
  level: number,
  leaf: boolean,
  registers: PlainRegisters,
  features: Features,
): bigint {
  if (mode === "32-bit") return leaf && level === 2 ? bits(features.pse36 ? 17 : 13, 21) : 0n;
  if (isPdpte(mode, level)) return pdpteReserved(features);
  let mask = bits(features.physicalBits, mode === "PAE" ? 62 : 51);
  if (!(registers.efer & EFER.NX)) mask |= NX;
  if (level >= 4 || (level === 3 && !features.gigabytePages)) mask |= PS;
  if (leaf && level > 1) mask |= bits(13, 12 + 9 * (level - 1) - 1);
  return mask;
}

export const isPdpte = (mode: Mode, level: number): boolean => mode === "PAE" && level === 3;

/** Reserved bits of a present PDPTE: MOV to CR3 faults on them, or a walk that finds them in memory. */
export const pdpteReserved = ({ physicalBits }: Features): bigint =>
  bits(1, 2) | bits(5, 8) | bits(physicalBits, 63);

/** Rights of a path: each level can only take some away. */
export interface Rights {
  readonly write: boolean;
  readonly user: boolean;
  readonly exec: boolean;
}
export const ALL_RIGHTS: Rights = { write: true, user: true, exec: true };
export const narrowed = (rights: Rights, mode: Mode, level: number, entry: bigint): Rights =>
  isPdpte(mode, level)
    ? rights
    : {
        write: rights.write && (entry & W) !== 0n,
        user: rights.user && (entry & U) !== 0n,
        exec: rights.exec && (mode === "32-bit" || (entry & NX) === 0n),
      };

/** Bits of the error code that tell of the access alone. */
export function accessCode(access: PlainAccess, registers: PlainRegisters): number {
  const { cr4, efer } = registers;
  const wide = modeOf(registers) !== "32-bit";
  const tellsFetch = (cr4 & CR4.SMEP) !== 0n || (wide && (efer & EFER.NX) !== 0n);
  return (
    (access.kind === "write" ? 2 : 0) |
    (access.cpl === 3 && !access.implicit ? 4 : 0) |
    (access.kind === "fetch" && tellsFetch ? 0x10 : 0)
  );
}

/** 0 when the page may be used so, else bits P and PK of the error code (SDM 3A 4.6). */
export function refusal(
  access: PlainAccess,
  rights: Rights,
  key: number,
  registers: PlainRegisters,
): number {
  const keyRefuses = isRefusedByKey(access, rights, key, registers);
  return keyRefuses ? 0x21 : isRefusedByRights(access, rights, registers) ? 1 : 0;
}

function isRefusedByRights(
  { kind, cpl, implicit }: PlainAccess,
  rights: Rights,
  { cr0, cr4, efer, ac }: PlainRegisters,
): boolean {
  const user = cpl === 3 && !implicit;
  const noExec = kind === "fetch" && !rights.exec && (efer & EFER.NX) !== 0n;
  if (user) return !rights.user || (kind === "write" && !rights.write) || noExec;
  if (kind === "fetch") return noExec || (rights.user && (cr4 & CR4.SMEP) !== 0n);
  if (rights.user && (cr4 & CR4.SMAP) !== 0n && (implicit || !ac)) return true;
  return kind === "write" && !rights.write && (cr0 & CR0.WP) !== 0n;
}

/** Protection keys: data accesses to user pages, long modes only (SDM 3A 4.6.2). */
function isRefusedByKey(
  { kind, cpl, implicit }: PlainAccess,
  rights: Rights,
  key: number,
  registers: PlainRegisters,
): boolean {
  const { cr0, cr4, efer, pkru } = registers;
  if (!(cr4 & CR4.PKE) || !(efer & EFER.LMA) || !rights.user || kind === "fetch") return false;
  const accessDisable = ((pkru >>> (2 * key)) & 1) !== 0;
  const writeDisable = ((pkru >>> (2 * key + 1)) & 1) !== 0;
  const user = cpl === 3 && !implicit;
  return accessDisable || (writeDisable && kind === "write" && (user || (cr0 & CR0.WP) !== 0n));
}

/** Protection key of a leaf. */
export const keyOf = (entry: bigint): number => Number(field(entry, 59, 4));
