import { FLAG } from "../layout";
import type { CpuState } from "../state";
import type { FaultResult } from "./context";
import type { DeliveryEvent } from "./event";
import { VECTOR } from "./vectors";

/** A way into a handler: what is left to do once the stores are committed. A task switch may still fault then. */
export interface Entry {
  commit(): FaultResult | undefined;
}

/** Not restartable, so there is nothing to resume at. */
const ABORTS: readonly number[] = [VECTOR.DF, VECTOR.MC];

/** RFLAGS as an event pushes them: RF says "do not break here again" (SDM 3B 17.3.1.1). */
export function pushedFlags(state: CpuState, event: DeliveryEvent): bigint {
  const isFault = event.kind === "fault" && !ABORTS.includes(event.vector);
  return BigInt(state.flags | ((event.resume ?? isFault) ? RF : 0));
}

/** As numbers: bigints would be made at every event only to be thrown away. */
const RF = Number(FLAG.RF);
const IF = Number(FLAG.IF);
const CLEARED = Number(FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM);

/** Flags a handler starts with: an interrupt gate masks interrupts, a trap gate does not (SDM 3A 6.12.1.2). */
export const handlerFlags = (flags: number, masks: boolean): number =>
  flags & ~(masks ? CLEARED | IF : CLEARED);
