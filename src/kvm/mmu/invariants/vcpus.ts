import { cpuRole } from "../cpu-role";
import { CACHE_CAPACITY } from "../memory-caches";
import type { EntryTimeInvariant, VmInvariant } from "./invariant";

/** Class V, over all vCPUs. */
export const FAULT_COUNT_INVARIANT: VmInvariant = {
  id: "INV-V-05",
  rule: "every fault taken was fixed, emulated, spurious, tried again, or the guest's own",
  vm: (state) =>
    state.contexts.flatMap(({ id, stats: s, fault }) => {
      const sum = s.pf_fixed + s.pf_emulate + s.pf_spurious + s.pf_retry + s.pf_guest;
      return sum === s.pf_taken || fault.active
        ? []
        : [`vCPU ${id} has taken ${s.pf_taken} faults and concluded ${sum}`];
    }),
};

export const CACHE_INVARIANT: VmInvariant = {
  id: "INV-V-03",
  rule: "a fault takes no more objects than its caches hold",
  vm: (state) =>
    state.contexts.flatMap(({ id, caches }) =>
      Object.entries(caches.counts)
        .filter(([, count]) => count < 0 || count > CACHE_CAPACITY)
        .map(([name, count]) => `cache ${name} of vCPU ${id} holds ${count} objects`),
    ),
};

/** At entry: nothing of a register change is left to be done. */
export const MODE_INVARIANT: EntryTimeInvariant = {
  id: "INV-V-04",
  rule: "roles are those of the present registers",
  context(_state, context) {
    const now = cpuRole(context.cpu, context.guestMode !== undefined);
    const { base, ext } = context.walkMode.cpuRole;
    return now.base === base && now.ext === ext
      ? undefined
      : `vCPU ${context.id} translates by role 0x${base.toString(16)}, its registers say 0x${now.base.toString(16)}`;
  },
};
