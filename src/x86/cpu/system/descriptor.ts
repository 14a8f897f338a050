import { S, SEG } from "../layout";
import type { Segment } from "../state";
import type { Attempt } from "./attempt";
import { isNull, selectorError, VECTOR } from "./vectors";

/**
 * A segment or system descriptor as found in memory (SDM 3A 3.4.5, 3.5). `attr` is laid out as in
 * `SEG_FIELD.attr`; `limit` is in bytes, granularity applied.
 */
export interface Descriptor {
  /** Linear address it came from, for the accessed and busy bits. */
  readonly at: bigint;
  /** Second dword, for writing it back with a bit set. */
  readonly high: number;
  readonly base: bigint;
  readonly limit: number;
  readonly attr: number;
}

/** System descriptor types (SDM 3A table 3-2); in long mode the 32-bit numbers mean the 64-bit things. */
export const SYSTEM = {
  tss16: 0x1,
  ldt: 0x2,
  tss16Busy: 0x3,
  callGate16: 0x4,
  taskGate: 0x5,
  interruptGate16: 0x6,
  trapGate16: 0x7,
  tss: 0x9,
  tssBusy: 0xb,
  callGate: 0xc,
  interruptGate: 0xe,
  trapGate: 0xf,
} as const;

export const typeOf = (d: { attr: number }): number => d.attr & 0xf;
export const dplOf = (d: { attr: number }): number => (d.attr >> 5) & 3;
export const isSystem = (d: { attr: number }): boolean => (d.attr & 0x10) === 0;
export const isPresent = (d: { attr: number }): boolean => (d.attr & 0x80) !== 0;
export const isCode = (d: { attr: number }): boolean => (d.attr & 0x18) === 0x18;
export const isConforming = (d: { attr: number }): boolean => (d.attr & 0x1c) === 0x1c;
export const isWritableData = (d: { attr: number }): boolean => (d.attr & 0x1a) === 0x12;
export const isReadable = (d: { attr: number }): boolean =>
  !isSystem(d) && (!isCode(d) || (d.attr & 2) !== 0);
export const isLong = (d: { attr: number }): boolean => (d.attr & 0x2000) !== 0;
const BIG = 0x4000;
export const isBig = (d: { attr: number }): boolean => (d.attr & BIG) !== 0;
const isExpandDown = (attr: number): boolean => (attr & 0x1c) === 0x14;

export function parseDescriptor(at: bigint, raw: bigint): Descriptor {
  const low = Number(raw & 0xffffffffn);
  const high = Number(raw >> 32n);
  const base = BigInt(((high & 0xff000000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0);
  const pages = (high & 0xf0000) | (low & 0xffff);
  const attr = (high >>> 8) & 0xf0ff;
  const limit = attr & 0x8000 ? (pages * 4096 + 4095) >>> 0 : pages;
  return { at, high, base, limit, attr };
}

/**
 * Linear address of a selector's descriptor, `undefined` when the table has none. `bytes` 16 for
 * system descriptors in long mode.
 */
export function descriptorAddress(
  attempt: Attempt,
  selector: number,
  bytes = 8,
): bigint | undefined {
  const { state } = attempt;
  const offset = selector & 0xfff8;
  const last = offset + bytes - 1;
  if (selector & 4) {
    const ldt = state.segment(SEG.ldtr);
    return ldt.unusable || last > ldt.hi ? undefined : ldt.base + BigInt(offset);
  }
  if (last > state.u32(S.gdtrLimit)) return undefined;
  return state.u64(S.gdtrBase) + BigInt(offset);
}

/** What a faulted read gives; no check that looks at it counts any more. */
const nothing: Descriptor = { at: 0n, high: 0, base: 0n, limit: 0, attr: 0 };

/** Reads a descriptor; a selector outside its table raises `vector(selector)`. */
export function readDescriptor(
  attempt: Attempt,
  selector: number,
  vector: number = VECTOR.GP,
  ext = 0,
): Descriptor {
  const at = descriptorAddress(attempt, selector);
  attempt.require(at !== undefined, vector, selectorError(selector) | ext);
  if (at === undefined || attempt.fault) return nothing;
  return parseDescriptor(at, attempt.readSystem(at, 8, ext));
}

/** As `readDescriptor`, for one that must be given: null raises `vector(ext)`. */
export function readNonNull(
  attempt: Attempt,
  selector: number,
  vector: number = VECTOR.GP,
  ext = 0,
): Descriptor {
  attempt.require(!isNull(selector), vector, ext);
  return readDescriptor(attempt, selector, vector, ext);
}

/**
 * Bits 63:32 of the base or offset, from the second half of a 16-byte system descriptor. Its type
 * field must be 0, so that the half is no descriptor itself (SDM 3A 3.5.2, 5.8.3.1).
 */
export function readUpperBase(attempt: Attempt, selector: number, ext = 0): bigint {
  const at = descriptorAddress(attempt, selector, 16);
  attempt.require(at !== undefined, VECTOR.GP, selectorError(selector) | ext);
  if (at === undefined || attempt.fault) return 0n;
  const raw = attempt.readSystem(at + 8n, 8, ext);
  attempt.require(((raw >> 40n) & 0x1fn) === 0n, VECTOR.GP, selectorError(selector) | ext);
  return (raw & 0xffffffffn) << 32n;
}

/** The hidden register a descriptor gives; expand-down limits become a `lo` (SDM 3A 3.4.5.1). */
export function toSegment(selector: number, { base, limit, attr: raw }: Descriptor): Segment {
  const isTable = (raw & 0x10) === 0;
  const attr = isTable ? raw : raw | 1;
  const unusable = false;
  if (isTable || !isExpandDown(attr)) return { selector, base, lo: 0, hi: limit, attr, unusable };
  // Nothing is valid below a limit of 4 GiB - 1: lo > hi.
  if (limit === 0xffffffff) return { selector, base, lo: 1, hi: 0, attr, unusable };
  const hi = attr & BIG ? 0xffffffff : 0xffff;
  return { selector, base, lo: limit + 1, hi, attr, unusable };
}

/** Sets the accessed bit in memory, when it is not set yet (SDM 3A 3.4.5.1). */
export function markAccessed(attempt: Attempt, d: Descriptor, ext = 0): void {
  if (attempt.fault || d.high & 0x100) return;
  attempt.writeSystem(d.at + 4n, 4, BigInt((d.high | 0x100) >>> 0), ext);
}
