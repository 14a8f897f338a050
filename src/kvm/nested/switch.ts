import { pagingMode } from "../../x86";
import type { MmuContext } from "../mmu/context";
import { KvmMmu } from "../mmu/kvm-mmu";
import { loadPdptrs } from "../mmu/pdptrs";
import { switchPgd } from "../mmu/roots";
import type { VmCore } from "../vm-core";
import type { GuestModeEntry } from "./guest-mode";

/**
 * From L1 to L2, whose registers the processor has by now (nested_svm_init_mmu_context). With nested
 * paging the faults go to `guest_mmu` from now on, and `nested_mmu` walks L2's own tables; without it
 * `root_mmu` goes on under another role. Roots are kept for the next time. False, with nothing changed,
 * when PAE paging finds a PDPTE with a reserved bit set: the entry fails.
 */
export function enterGuestMode(vm: VmCore, context: MmuContext, entry: GuestModeEntry): boolean {
  const { cpu } = context;
  const { nestedPaging } = entry;
  if (!nestedPaging && !pdptrsLoaded(vm, context)) return false;
  context.guestMode = { nestedPaging };
  if (entry.pdptes) context.pdptrs.set(entry.pdptes);
  context.nestedExit = undefined;
  if (nestedPaging) {
    const mode = vm.nestedModeOf(nestedPaging);
    context.guestMmu ??= new KvmMmu(mode, undefined);
    context.guestMmu.mode = mode;
    context.mmu = context.guestMmu;
    context.nestedMode = vm.modeOf(cpu, true);
  } else context.mmu.mode = vm.modeOf(cpu, true);
  switchPgd(vm.state, context, context.pgd);
  if (entry.flush) {
    vm.state.request(context, "mmuSync");
    vm.state.request(context, "tlbFlushCurrent");
  }
  return true;
}

/** Back to L1, whose registers the processor has again: to the roots it left (nested_svm_uninit_mmu_context). */
export function leaveGuestMode(vm: VmCore, context: MmuContext): void {
  context.guestMode = undefined;
  context.nestedMode = undefined;
  context.nestedExit = undefined;
  context.mmu = context.rootMmu;
  // What L1 has put into its own PDPTEs since is what it runs with now; it left with good ones.
  pdptrsLoaded(vm, context);
  context.mmu.mode = vm.modeOf(context.cpu);
  switchPgd(vm.state, context, context.pgd);
}

function pdptrsLoaded(vm: VmCore, context: MmuContext): boolean {
  if (pagingMode(context.cpu) !== "PAE") return true;
  return loadPdptrs(vm.state, context, vm.features.physicalBits);
}

/** A snapshot says how L2 runs: which MMU that makes the one in use, and by which modes. */
export function restoreGuestMode(vm: VmCore, context: MmuContext): void {
  const { guestMode, guestMmu, cpu } = context;
  const mode = vm.modeOf(cpu, guestMode !== undefined);
  const nestedPaging = guestMode?.nestedPaging;
  context.mmu = context.rootMmu;
  context.nestedMode = undefined;
  if (!nestedPaging || !guestMmu) {
    context.mmu.mode = mode;
    return;
  }
  guestMmu.mode = vm.nestedModeOf(nestedPaging);
  context.mmu = guestMmu;
  context.nestedMode = mode;
}
