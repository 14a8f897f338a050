import { GPR, SEG } from "../layout";
import type { Attempt } from "./attempt";
import { SYSTEM, toSegment } from "./descriptor";
import { type Entry, handlerFlags, pushedFlags } from "./entry";
import { type DeliveryEvent, extOf } from "./event";
import { checkHandler, gateTarget, readGate } from "./gate";
import { longStack, tssPointer } from "./inner-stack";
import { nullSegment } from "./segments";

/** Long mode: 64-bit gates, IST, five or six aligned quadwords, SS null at a new level (SDM 3A 6.14). */
export function deliverLong(attempt: Attempt, event: DeliveryEvent): Entry {
  const { state } = attempt;
  const ext = extOf(event);
  const gate = readGate(attempt, event);
  const { code, cpl } = gateTarget(attempt, gate, event);
  const changes = cpl !== state.cpl;

  let rsp = state.gpr(GPR.rsp);
  if (gate.ist !== 0) rsp = tssPointer(attempt, 2 + gate.ist, ext);
  else if (changes) rsp = tssPointer(attempt, cpl, ext);
  const stack = longStack(attempt, rsp & ~0xfn, cpl, ext);
  stack.push(BigInt(state.selector(SEG.ss)), 8);
  stack.push(state.gpr(GPR.rsp), 8);
  stack.push(pushedFlags(state, event), 8);
  stack.push(BigInt(state.selector(SEG.cs)), 8);
  stack.push(event.returnRip, 8);
  if (event.error !== undefined) stack.push(BigInt(event.error), 8);
  checkHandler(attempt, gate, code, event);

  return {
    commit() {
      if (changes) state.setSegment(SEG.ss, nullSegment(cpl, cpl));
      stack.commit(state);
      state.setSegment(SEG.cs, toSegment((gate.selector & ~3) | cpl, code));
      state.flags = handlerFlags(state.flags, gate.type === SYSTEM.interruptGate);
      state.rip = gate.offset;
      return undefined;
    },
  };
}
