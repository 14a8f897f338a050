import type { FaultIn } from "../../host";
import { reachPoint } from "./announce";
import type { MmuContext } from "./context";
import { type Fault, NOSLOT_PFN } from "./fault-state";
import { cacheMmio } from "./mmio";
import { RET, type Ret } from "./result";
import type { MmuState } from "./state";

/**
 * Finds the host page of `fault.gfn`, making it resident (kvm_faultin_pfn). `continue` with the fault
 * filled in; otherwise what becomes of the access. The notifier count taken first lets the caller
 * see, under the lock, whether the page may have moved since (mmu.rst, locking.rst).
 */
export function faultinPfn(
  state: MmuState,
  context: MmuContext,
  fault: Fault,
  access: number,
): Ret {
  // Before the count is taken: what is reclaimed here must not make this very fault stale.
  state.hostProcess.keepLimit();
  fault.seq = state.notifier.seq;
  const { slot } = fault;
  if (!slot) {
    fault.pfn = NOSLOT_PFN;
    fault.mapWritable = false;
    cacheMmio(state, context, fault, access);
    return state.format.canMark(fault.gfn) ? RET.continue : RET.emulate;
  }
  if (!slot.visible) return retry(state, "slot-invalid");
  if (isInvalidated(state, fault)) return retry(state, "stale-seq");
  if (fault.write && slot.readonly) return RET.emulate;
  state.lock.assertMaySleep();
  const page = state.hostProcess.faultIn(slot.hvaOf(fault.gfn), fault.write);
  if (page.kind !== "page") {
    context.failure = failureText(page.kind, slot.hvaOf(fault.gfn));
    return RET.retry;
  }
  fault.pfn = page.pfn;
  fault.mapWritable = page.writable && !slot.readonly;
  reachPoint(state, "P1");
  return isInvalidated(state, fault) ? retry(state, "stale-seq") : RET.continue;
}

/** An invalidation of the page runs, or one ended since `fault.seq` was taken. */
function isInvalidated(state: MmuState, fault: Fault): boolean {
  const { inProgress, rangeStart, rangeEnd, seq } = state.notifier;
  if (inProgress > 0 && fault.gfn >= rangeStart && fault.gfn < rangeEnd) return true;
  return seq !== fault.seq;
}

/**
 * Checked with the lock held, before anything is mapped: the root may have become obsolete, the host
 * page may have gone. True means the access must simply be tried again.
 */
export function isFaultStale(state: MmuState, context: MmuContext, fault: Fault): boolean {
  const { root } = context;
  const obsolete =
    root.kind === "page" ? state.isObsolete(root.page) : context.has("freeObsoleteRoots");
  if (obsolete) return retry(state, "obsolete-root") === RET.retry;
  if (fault.slot && isInvalidated(state, fault)) return retry(state, "stale-seq") === RET.retry;
  return false;
}

/** Announces why the access is tried again. */
export function retry(state: MmuState, why: string): Ret {
  if (state.trace.wants("retry")) state.trace.emit("retry", { why });
  return RET.retry;
}

function failureText(kind: Exclude<FaultIn["kind"], "page">, hva: number): string {
  const at = `hva 0x${hva.toString(16)}`;
  switch (kind) {
    case "no-mapping":
      return `${at} behind a memslot is not mapped in the host process: map it, or delete the slot`;
    case "read-only":
      return `${at} behind a writable memslot is read-only in the host process: make the slot read-only`;
    case "out-of-memory":
      return `the host has no free frame for ${at}: give the machine more host memory`;
    case "past-end-of-file":
      return `${at} behind a memslot lies beyond the end of its file (SIGBUS): make the file longer`;
    case "poisoned":
      return `the memory of ${at} behind a memslot is poisoned (SIGBUS): unpoison the page, or map another over it`;
    case "file-lost":
      return `${at} behind a memslot cannot be read as its file is gone (SIGBUS): bring the file back`;
  }
}
