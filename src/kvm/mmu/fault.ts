import type { MmuContext } from "./context";
import { directFault } from "./direct-map";
import { handleMmioFault } from "./mmio";
import { RET, type Ret } from "./result";
import { shadowFault } from "./shadow-fault";
import type { MmuState } from "./state";
import { decideWriteProtected } from "./write-protect-decision";

/** What the vCPU does after a fault exit. */
export type FaultDecision = "resume" | "emulate";

/** A hardware page fault, exit taken (kvm_mmu_page_fault): fixes it, reflects it or asks for emulation. */
export function handlePageFault(
  state: MmuState,
  context: MmuContext,
  address: bigint,
  code: number,
): FaultDecision {
  const { fault } = context;
  fault.begin(address, code);
  if (state.trace.wants("kvm_page_fault"))
    state.trace.emit("kvm_page_fault", {
      // Older kernels trace no more than the two.
      ...(state.profile.era === "modern" ? { vcpu: context.id, rip: context.cpu.rip } : {}),
      address,
      error_code: code,
    });
  if (fault.reserved) {
    const known = handleMmioFault(state, context, fault);
    fault.active = known === RET.invalid;
    if (known === RET.emulate) return "emulate";
    if (known === RET.retry) return "resume";
  }
  context.stats.pf_taken++;
  const ret = context.direct
    ? directFault(state, context, fault)
    : shadowFault(state, context, fault);
  return concluded(state, context, ret);
}

function concluded(state: MmuState, context: MmuContext, ret: Ret): FaultDecision {
  const { stats, fault } = context;
  fault.active = false;
  if (ret === RET.fixed) stats.pf_fixed++;
  if (ret === RET.spurious) stats.pf_spurious++;
  if (ret === RET.retry && !context.injected) stats.pf_retry++;
  if (ret === RET.emulate) stats.pf_emulate++;
  if (ret === RET.writeProtected) {
    stats.pf_emulate++;
    return decideWriteProtected(state, context, fault);
  }
  return ret === RET.emulate ? "emulate" : "resume";
}
