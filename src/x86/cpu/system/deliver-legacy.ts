import { GPR, SEG } from "../layout";
import type { Attempt } from "./attempt";
import { dplOf, isConforming, SYSTEM, toSegment } from "./descriptor";
import { type Entry, handlerFlags, pushedFlags } from "./entry";
import { type DeliveryEvent, extOf } from "./event";
import { checkHandler, gateTarget, readGate } from "./gate";
import { tssStack } from "./inner-stack";
import { isV8086, nullSegment } from "./segments";
import { Stack } from "./stack";
import { enterTask, prepareTask } from "./task-switch";
import { selectorError, VECTOR } from "./vectors";

/** Pushed on the way out of virtual-8086 mode, and null in the handler (SDM 3B 20.3.1.1). */
const V8086_SAVED = [SEG.gs, SEG.fs, SEG.ds, SEG.es] as const;

/** Through a task gate: the interrupted program's state goes to its TSS, not to a stack (SDM 3A 6.12.2). */
function deliverToTask(attempt: Attempt, selector: number, event: DeliveryEvent): Entry {
  const { ctx, state } = attempt;
  const task = prepareTask(attempt, {
    cause: "event",
    selector,
    rip: event.returnRip,
    rflags: pushedFlags(state, event),
    ext: extOf(event),
    ...(event.error === undefined ? {} : { error: event.error }),
  });
  return { commit: () => enterTask(ctx, task) };
}

/** Protected and virtual-8086 mode: 16- and 32-bit gates, the TSS's stack at an inner level. */
export function deliverLegacy(attempt: Attempt, event: DeliveryEvent): Entry {
  const { state } = attempt;
  const ext = extOf(event);
  const gate = readGate(attempt, event);
  if (gate.type === SYSTEM.taskGate) {
    return deliverToTask(attempt, gate.selector, event);
  }
  const { code, cpl } = gateTarget(attempt, gate, event);
  const v8086 = isV8086(state);
  if (v8086) {
    // Only a non-conforming handler at level 0 can save a virtual-8086 program.
    const error = selectorError(gate.selector) | ext;
    attempt.require(!isConforming(code) && dplOf(code) === 0, VECTOR.GP, error);
  }
  const size = gate.type & 8 ? 4 : 2;
  const inner = cpl !== state.cpl ? tssStack(attempt, cpl, ext) : undefined;
  const stack = inner?.stack ?? Stack.current(attempt, ext);
  const push = (value: bigint): void => stack.push(value, size);
  const selector = (index: keyof typeof SEG): bigint => BigInt(state.segment(SEG[index]).selector);
  if (v8086) for (const index of V8086_SAVED) push(BigInt(state.segment(index).selector));
  if (inner) {
    push(selector("ss"));
    push(state.gpr(GPR.rsp));
  }
  push(pushedFlags(state, event));
  push(selector("cs"));
  push(event.returnRip);
  if (event.error !== undefined) push(BigInt(event.error));
  checkHandler(attempt, gate, code, event);

  return {
    commit() {
      if (inner) state.setSegment(SEG.ss, inner.ss);
      if (v8086) for (const index of V8086_SAVED) state.setSegment(index, nullSegment(0));
      stack.commit(state);
      state.setSegment(SEG.cs, toSegment((gate.selector & ~3) | cpl, code));
      const masks = gate.type === SYSTEM.interruptGate || gate.type === SYSTEM.interruptGate16;
      state.flags = handlerFlags(state.flags, masks);
      state.rip = gate.offset;
      return undefined;
    },
  };
}
