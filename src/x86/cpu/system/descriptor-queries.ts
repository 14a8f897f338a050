import type { Attempt } from "./attempt";
import {
  type Descriptor,
  descriptorAddress,
  dplOf,
  isConforming,
  isReadable,
  isSystem,
  isWritableData,
  parseDescriptor,
  SYSTEM,
  typeOf,
} from "./descriptor";
import { isNull } from "./vectors";

/** What LAR, LSL, VERR and VERW ask of a selector; `undefined` means ZF = 0, not a fault (SDM 2A). */

const GATES: readonly number[] = [SYSTEM.callGate16, SYSTEM.callGate, SYSTEM.taskGate];
const LEGACY_TABLES: readonly number[] = [
  SYSTEM.tss16,
  SYSTEM.ldt,
  SYSTEM.tss16Busy,
  SYSTEM.tss,
  SYSTEM.tssBusy,
];
const LONG_TABLES: readonly number[] = [SYSTEM.ldt, SYSTEM.tss, SYSTEM.tssBusy];

/** A descriptor the program may know of: in its table, and privileged enough unless conforming code. */
function visible(attempt: Attempt, selector: number): Descriptor | undefined {
  const at = isNull(selector) ? undefined : descriptorAddress(attempt, selector);
  if (at === undefined) return undefined;
  const d = parseDescriptor(at, attempt.readSystem(at, 8));
  const level = Math.max(attempt.state.cpl, selector & 3);
  return isConforming(d) || dplOf(d) >= level ? d : undefined;
}

/** LAR: bits 23:8 of the second dword without the limit. */
export function accessRights(attempt: Attempt, selector: number): bigint | undefined {
  const d = visible(attempt, selector);
  if (!d) return undefined;
  const { longMode } = attempt.state;
  const tables = longMode ? LONG_TABLES : LEGACY_TABLES;
  const gates = longMode ? [SYSTEM.callGate] : GATES;
  const known = !isSystem(d) || tables.includes(typeOf(d)) || gates.includes(typeOf(d));
  return known ? BigInt(d.high & 0x00f0ff00) : undefined;
}

/** LSL: the limit in bytes. */
export function segmentLimit(attempt: Attempt, selector: number): bigint | undefined {
  const d = visible(attempt, selector);
  if (!d) return undefined;
  const tables = attempt.state.longMode ? LONG_TABLES : LEGACY_TABLES;
  return !isSystem(d) || tables.includes(typeOf(d)) ? BigInt(d.limit) : undefined;
}

/** VERR */
export function mayRead(attempt: Attempt, selector: number): boolean {
  const d = visible(attempt, selector);
  return d !== undefined && isReadable(d);
}

/** VERW */
export function mayWrite(attempt: Attempt, selector: number): boolean {
  const d = visible(attempt, selector);
  return d !== undefined && isWritableData(d);
}
