import type { Machine } from "../../machine";
import type { CpuState, FieldValue } from "../../x86";
import type { Symbols } from "../symbols/symbols";
import { type Frame, frameRegister } from "../unwind/frame";

/** What an expression is about: a vCPU, one of its frames, and for conditions an event. */
export interface Scope {
  readonly machine: Machine;
  readonly symbols: Symbols;
  readonly vcpu: number;
  /** The selected frame; without one the vCPU's registers as they are. */
  readonly frame?: Frame;
  /** Fields of the event a condition is asked about: names that come before all others. */
  readonly fields?: Readonly<Record<string, FieldValue>>;
}

export function stateOf(scope: Scope): CpuState {
  const view = scope.machine.vcpus[scope.vcpu];
  if (!view) throw new Error(`there is no vCPU ${scope.vcpu}`);
  return view.state;
}

/** A register as the selected frame has it: a caller's differ from the vCPU's. */
export function registerIn(scope: Scope, name: string, live: bigint): bigint | undefined {
  const { frame } = scope;
  const inner = frame === undefined || frame.pc === stateOf(scope).rip;
  if (inner || !PER_FRAME.test(name)) return live;
  return frameRegister(frame, name);
}

const PER_FRAME = /^r([abcd]x|[sbi]p|[sd]i|\d+)$/;
