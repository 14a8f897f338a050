import { S } from "../layout";
import { type Attempt, isCanonical } from "./attempt";
import {
  type Descriptor,
  dplOf,
  isBig,
  isCode,
  isConforming,
  isLong,
  isPresent,
  markAccessed,
  readNonNull,
  SYSTEM,
} from "./descriptor";
import { type DeliveryEvent, extOf, gateError } from "./event";
import { selectorError, VECTOR } from "./vectors";

/** An IDT entry, 8 or 16 bytes (SDM 3A 6.11, 6.14.1). */
export interface InterruptGate {
  readonly type: number;
  readonly dpl: number;
  readonly present: boolean;
  readonly selector: number;
  readonly offset: bigint;
  /** 0: none. */
  readonly ist: number;
}

/** Types of the IDT of each mode that may be delivered through. */
const LONG_TYPES: readonly number[] = [SYSTEM.interruptGate, SYSTEM.trapGate];
const LEGACY_TYPES: readonly number[] = [
  SYSTEM.taskGate,
  SYSTEM.interruptGate16,
  SYSTEM.trapGate16,
  SYSTEM.interruptGate,
  SYSTEM.trapGate,
];

export function readGate(attempt: Attempt, event: DeliveryEvent): InterruptGate {
  const { state } = attempt;
  const long = state.longMode;
  const bytes = long ? 16 : 8;
  const error = gateError(event);
  attempt.require(event.vector * bytes + bytes - 1 <= state.u32(S.idtrLimit), VECTOR.GP, error);
  const at = state.u64(S.idtrBase) + BigInt(event.vector * bytes);
  const low = attempt.readSystem(at, 8, extOf(event));
  const high = long ? attempt.readSystem(at + 8n, 8, extOf(event)) : 0n;
  const gate = parseGate(low, high, long);
  attempt.require((long ? LONG_TYPES : LEGACY_TYPES).includes(gate.type), VECTOR.GP, error);
  attempt.require(event.kind !== "software" || gate.dpl >= state.cpl, VECTOR.GP, error);
  attempt.require(gate.present, VECTOR.NP, error);
  return gate;
}

function parseGate(raw: bigint, upper: bigint, long: boolean): InterruptGate {
  const low = Number(raw & 0xffffffffn);
  const high = Number(raw >> 32n);
  // The S bit is part of the type: a segment descriptor is no gate.
  const type = (high >>> 8) & 0x1f;
  const offset = BigInt(((low & 0xffff) | (type & 8 ? high & 0xffff0000 : 0)) >>> 0);
  return {
    type,
    dpl: (high >>> 13) & 3,
    present: (high & 0x8000) !== 0,
    selector: low >>> 16,
    offset: long ? offset | ((upper & 0xffffffffn) << 32n) : offset,
    ist: long ? high & 7 : 0,
  };
}

/** Where a gate leads: the code segment's descriptor and the privilege level it runs at. */
export interface GateTarget {
  readonly code: Descriptor;
  readonly cpl: number;
}

/**
 * The code segment of an interrupt or trap gate. Never less privileged than the interrupted program;
 * conforming code keeps its level (SDM 2A INT n, "PROTECTED-MODE", SDM 3A 6.12.1.1).
 */
export function gateTarget(
  attempt: Attempt,
  gate: InterruptGate,
  event: DeliveryEvent,
): GateTarget {
  const { state } = attempt;
  const { cpl, longMode } = state;
  const ext = extOf(event);
  const error = selectorError(gate.selector) | ext;
  const code = readNonNull(attempt, gate.selector, VECTOR.GP, ext);
  attempt.require(isCode(code) && dplOf(code) <= cpl, VECTOR.GP, error);
  if (longMode) attempt.require(isLong(code) && !isBig(code), VECTOR.GP, error);
  attempt.require(isPresent(code), VECTOR.NP, error);
  markAccessed(attempt, code, ext);
  return { code, cpl: isConforming(code) ? cpl : dplOf(code) };
}

/** The manual's last check before anything is loaded: the handler's address. */
export function checkHandler(
  attempt: Attempt,
  gate: InterruptGate,
  code: Descriptor,
  event: DeliveryEvent,
): void {
  const { state } = attempt;
  const fits = state.longMode ? isCanonical(state, gate.offset) : gate.offset <= BigInt(code.limit);
  attempt.require(fits, VECTOR.GP, extOf(event));
}
