import { gfnOf, gpa } from "../../../x86";
import type { MmuContext } from "../context";
import type { MmuState } from "../state";

/** Kicks every vCPU out of the guest, so that what its processor has logged is entered (vmx_sync_dirty). */
export function syncHardwareLogs(state: MmuState): void {
  for (const context of state.contexts) drainPml(state, context);
}

/** Enters what the hardware has logged (vmx_flush_pml_buffer): at each exit, and before a log is read. */
export function drainPml(state: MmuState, context: MmuContext): void {
  const { running } = state;
  state.running = context;
  context.pml?.drain((at) => {
    const frame = gfnOf(gpa(at));
    const slot = state.slotSets[0]!.find(frame);
    if (slot) state.markDirty(slot, frame, "logged by the processor");
  });
  state.running = running;
}
