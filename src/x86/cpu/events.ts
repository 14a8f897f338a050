import { type GuestFault, STOP_VECTOR } from "./board";
import { FLAG, S } from "./layout";
import { deliver } from "./system/deliver";
import type { DeliveryEvent } from "./system/event";
import { faultText, type VcpuCore } from "./vcpu-core";

/** What became of an event. */
export type EventOutcome = "delivered" | "stop" | "shutdown";

const KINDS = ["fault", "trap", "interrupt", "software", "nmi"] as const;
const VALID = 0x8000_0000;
const HAS_ERROR = 1 << 16;
const HAS_CR2 = 1 << 17;
const HAS_DR6 = 1 << 18;
const NO_RESUME = 1 << 19;

/** `S.activity` */
export const ACTIVITY = { running: 0, halted: 1, waitingForSipi: 2, shutDown: 3 } as const;

const NMI = 2;
const DB = 1;

/** Keeps an event that was accepted but stopped before, in the struct. */
function keep(vcpu: VcpuCore, event: DeliveryEvent): void {
  const { state } = vcpu;
  const bits =
    (event.error === undefined ? 0 : HAS_ERROR) |
    (event.cr2 === undefined ? 0 : HAS_CR2) |
    (event.dr6 === undefined ? 0 : HAS_DR6) |
    (event.resume === false ? NO_RESUME : 0);
  state.setU32(S.pending, (VALID | bits | (KINDS.indexOf(event.kind) << 8) | event.vector) >>> 0);
  state.setU32(S.pending + 4, event.error ?? 0);
  state.setU64(S.pending + 8, event.cr2 ?? BigInt(event.dr6 ?? 0));
}

function kept(vcpu: VcpuCore): DeliveryEvent | undefined {
  const { state } = vcpu;
  const word = state.u32(S.pending);
  if (!(word & VALID)) return undefined;
  const value = state.u64(S.pending + 8);
  return {
    vector: word & 0xff,
    kind: KINDS[(word >> 8) & 7]!,
    returnRip: state.rip,
    ...(word & HAS_ERROR ? { error: state.u32(S.pending + 4) } : {}),
    ...(word & HAS_CR2 ? { cr2: value } : {}),
    ...(word & HAS_DR6 ? { dr6: Number(value) } : {}),
    ...(word & NO_RESUME ? { resume: false } : {}),
  };
}

function send(vcpu: VcpuCore, event: DeliveryEvent): EventOutcome {
  const { state } = vcpu;
  vcpu.insn = undefined;
  state.setU64(S.pending, 0n);
  state.setU64(S.pending + 8, 0n);
  const announce = (fault: GuestFault): boolean => {
    const text = faultText(fault, state.rip);
    if (vcpu.announced === text) return false;
    if (!vcpu.board.beforeFault(fault.vector, fault.error, fault.cr2)) return false;
    vcpu.announced = text;
    return true;
  };
  vcpu.delivering = true;
  const outcome = deliver(vcpu.context, event, announce);
  vcpu.delivering = false;
  if (outcome?.kind === "stop") {
    keep(vcpu, event);
    return "stop";
  }
  vcpu.announced = undefined;
  return outcome?.kind === "shutdown" ? "shutdown" : "delivered";
}

/**
 * An exception of the guest at the present rip. The board is asked first; when it stops the run, the
 * event waits in the struct and the next run delivers it without asking.
 */
export function raise(
  vcpu: VcpuCore,
  fault: GuestFault,
  kind: "fault" | "trap",
  resume?: boolean,
): EventOutcome {
  // The instruction is tried again when the run goes on.
  if (fault.vector === STOP_VECTOR) return "stop";
  const { vector, error, cr2, dr6 } = fault;
  const returnRip = vcpu.state.rip;
  const event: DeliveryEvent = { vector, error, cr2, dr6, kind, returnRip, resume };
  if (vcpu.board.beforeFault(fault.vector, fault.error, fault.cr2)) {
    keep(vcpu, event);
    return "stop";
  }
  return send(vcpu, event);
}

/**
 * The event to take before the next instruction, by priority (SDM 3A table 6-2): one kept from before,
 * debug traps of the last instruction, NMI, external interrupt. `undefined` when there is none.
 */
export function takeEvent(vcpu: VcpuCore): EventOutcome | undefined {
  const { state } = vcpu;
  const waiting = kept(vcpu);
  if (waiting) return send(vcpu, waiting);
  const shadow = state.u32(S.shadow);
  const debug = state.u32(S.pendingDb);
  // MOV SS holds debug traps back for one instruction (SDM 3A 6.8.3).
  if (debug !== 0 && shadow !== 2) {
    state.setU32(S.pendingDb, 0);
    return raise(vcpu, { vector: DB, dr6: debug }, "trap");
  }
  if (shadow !== 0) return undefined;
  const returnRip = state.rip;
  if (state.u32(S.nmiPending) !== 0 && state.u32(S.nmiBlocked) === 0) {
    state.setU32(S.nmiPending, 0);
    return send(vcpu, { vector: NMI, kind: "nmi", returnRip });
  }
  if (state.u32(S.irqLine) !== 0 && state.u64(S.rflags) & FLAG.IF) {
    const vector = vcpu.board.acknowledgeInterrupt();
    if (vector >= 0) return send(vcpu, { vector, kind: "interrupt", returnRip });
  }
  return undefined;
}

/** Would `takeEvent` find something that ends HLT? */
export function wakes({ state }: VcpuCore): boolean {
  if (state.u32(S.pending) & VALID) return true;
  if (state.u32(S.nmiPending) !== 0 && state.u32(S.nmiBlocked) === 0) return true;
  return state.u32(S.irqLine) !== 0 && (state.u64(S.rflags) & FLAG.IF) !== 0n;
}
