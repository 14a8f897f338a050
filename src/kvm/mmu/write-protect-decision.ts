import { type Gfn, NPF } from "../../x86";
import type { MmuContext } from "./context";
import type { Fault } from "./fault-state";
import type { MmuState } from "./state";
import { commitZap, type InvalidList, prepareZap } from "./zap";

/**
 * A write to a guest table: emulate it, as a rule. While an exception or interrupt is being delivered
 * the frame is a stack rather than a table, so its shadow pages go instead and the delivery is tried
 * again, once for the same place. The same when an L1 with a second dimension uses the frame in its own
 * tables and the hardware sets A or D there: no instruction does that write.
 */
export function decideWriteProtected(
  state: MmuState,
  context: MmuContext,
  fault: Fault,
): "resume" | "emulate" {
  const { cpu, lastUnprotect } = context;
  const { address } = fault;
  if (lastUnprotect?.rip === cpu.rip && lastUnprotect.address === address) return "emulate";
  context.lastUnprotect = undefined;
  const retries = cpu.delivering || (context.direct && isByOwnTables(fault));
  if (!retries || !unprotectGfn(state, fault.gfn)) return "emulate";
  context.lastUnprotect = { rip: cpu.rip, address };
  return "resume";
}

/** A present page was to be written by the hardware's walk of the guest's tables (PFERR_NESTED_GUEST_PAGE). */
const isByOwnTables = ({ code, present, write }: Fault): boolean =>
  present && write && code >= NPF.guestTable;

/**
 * An instruction that wrote to a guest table could not be emulated: with the table's shadow pages
 * gone it runs natively (mmu.rst, "Reaction to events"). False when that cannot help.
 */
export function emulationFailed(state: MmuState, context: MmuContext): boolean {
  context.stats.insn_emulation_fail++;
  return !context.fault.toOwnTable && unprotectGfn(state, context.fault.gfn);
}

/** Zaps every page that shadows this guest table. True when there was one. */
function unprotectGfn(state: MmuState, frame: Gfn): boolean {
  const list: InvalidList = [];
  let any = false;
  for (const page of [...state.hash.bucket(frame)]) {
    if (page.gfn !== frame || !page.hasGptes || page.invalid) continue;
    prepareZap(state, page, list);
    any = true;
  }
  commitZap(state, list);
  return any;
}
