import { type GuestFault, STOP_VECTOR } from "../board";
import { CR0, S } from "../layout";
import { Attempt } from "./attempt";
import type { FaultResult, SystemContext } from "./context";
import { deliverLegacy } from "./deliver-legacy";
import { deliverLong } from "./deliver-long";
import { deliverReal } from "./deliver-real";
import type { DeliveryEvent } from "./event";
import { debugRegistersAfter, escalate, SINGLE_STEP } from "./exceptions";
import { VECTOR } from "./vectors";

export type DeliverResult =
  | undefined
  /** Triple fault; `activity` says so (SDM 3A 6.15, #DF). */
  | { readonly kind: "shutdown" }
  /** `announce`, or the board, stopped before a fault that the delivery itself met; nothing committed. */
  | { readonly kind: "stop" };

/** `activity` values (layout.ts). */
const RUNNING = 0;
const SHUT_DOWN = 3;

/**
 * Delivers an event. Faults met on the way are delivered instead of it, or become #DF, or end in
 * shutdown (SDM 3A table 6-5). Each such fault is shown to `announce` first, as it is on silicon a
 * fault of its own; true stops.
 */
export function deliver(
  ctx: SystemContext,
  event: DeliveryEvent,
  announce?: (fault: GuestFault) => boolean,
): DeliverResult {
  let current = event;
  for (;;) {
    const outcome = deliverOnce(ctx, current);
    if (!outcome) return undefined;
    if (outcome.fault.vector === STOP_VECTOR) return { kind: "stop" };
    const isException = current.kind === "fault" || current.kind === "trap";
    const next = escalate(isException ? current.vector : undefined, outcome.fault);
    if (next === "shutdown") {
      ctx.state.setU32(S.activity, SHUT_DOWN);
      return { kind: "shutdown" };
    }
    // Between two tasks nothing can stop: the first event cannot be delivered a second time.
    if (!outcome.inNewTask && announce?.(next)) return { kind: "stop" };
    // A page fault that became #DF has still reported its address.
    if (outcome.fault.cr2 !== undefined) ctx.state.cr2 = outcome.fault.cr2;
    const returnRip = outcome.inNewTask
      ? ctx.state.rip
      : current.kind === "software"
        ? ctx.rip
        : current.returnRip;
    current = { ...next, kind: "fault", returnRip };
  }
}

/**
 * One try: the event is delivered whole, or the fault that prevented it is returned and nothing has
 * changed but CR2 and the debug registers, which the processor sets when it recognises the event.
 */
export function deliverOnce(ctx: SystemContext, event: DeliveryEvent): undefined | FaultResult {
  recordCause(ctx, event);
  const attempt = new Attempt(ctx);
  const { state } = ctx;
  const route = !(state.cr0 & CR0.PE) ? deliverReal : state.longMode ? deliverLong : deliverLegacy;
  const entry = route(attempt, event);
  const fault = attempt.fault;
  if (fault) return { kind: "fault", fault };
  ctx.mem.commit();
  const late = entry.commit();
  state.setU32(S.shadow, 0);
  // A single-step trap that MOV SS held back is lost; data breakpoints wait on, unless this #DB
  // reported them (SDM 3A 6.8.3).
  const waiting = event.vector === VECTOR.DB && event.kind !== "software" ? 0 : ~SINGLE_STEP;
  state.setU32(S.pendingDb, state.u32(S.pendingDb) & waiting);
  state.setU32(S.activity, RUNNING);
  if (event.kind === "nmi") state.setU32(S.nmiBlocked, 1);
  ctx.stateChanged();
  return late;
}

function recordCause({ state }: SystemContext, event: DeliveryEvent): void {
  if (event.cr2 !== undefined) state.cr2 = event.cr2;
  if (event.vector !== VECTOR.DB || event.dr6 === undefined) return;
  const at = (n: number): number => S.dr + 8 * n;
  const after = debugRegistersAfter(state.u64(at(6)), state.u64(at(7)), event.dr6);
  state.setU64(at(6), after.dr6);
  state.setU64(at(7), after.dr7);
}
