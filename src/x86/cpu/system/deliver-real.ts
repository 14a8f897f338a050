import { FLAG, S, SEG } from "../layout";
import type { Attempt } from "./attempt";
import type { Entry } from "./entry";
import { pushedFlags } from "./entry";
import type { DeliveryEvent } from "./event";
import { paragraphSegment } from "./segments";
import { Stack } from "./stack";
import { VECTOR } from "./vectors";

/**
 * Real mode: a table of IP:CS pairs at IDTR, three words pushed, no error codes (SDM 3B 20.1.4). A
 * vector beyond the limit is #GP here as in protected mode, hence #DF and shutdown when that has no
 * vector either.
 */
export function deliverReal(attempt: Attempt, event: DeliveryEvent): Entry {
  const { state } = attempt;
  attempt.require(4 * event.vector + 3 <= state.u32(S.idtrLimit), VECTOR.GP, 0);
  const vector = attempt.readSystem(state.u64(S.idtrBase) + BigInt(4 * event.vector), 4);
  const cs = state.segment(SEG.cs);
  const stack = Stack.current(attempt);
  stack.push(pushedFlags(state, event), 2);
  stack.push(BigInt(cs.selector), 2);
  stack.push(event.returnRip, 2);
  return {
    commit() {
      stack.commit(state);
      state.rflags = state.rflags & ~(FLAG.IF | FLAG.TF | FLAG.RF | FLAG.AC);
      state.setSegment(SEG.cs, paragraphSegment(cs, Number(vector >> 16n), false));
      state.rip = vector & 0xffffn;
      return undefined;
    },
  };
}
