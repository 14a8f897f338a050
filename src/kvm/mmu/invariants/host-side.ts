import type { EntryInvariant, VmInvariant } from "./invariant";
import { hex } from "./invariant";

/** Class N, entry by entry. */
export const NOTIFIER_ENTRY_INVARIANT: EntryInvariant = {
  id: "INV-N-01",
  rule: "while an invalidation runs nothing in its range is mapped",
  entry(view) {
    const { inProgress, rangeStart, rangeEnd } = view.state.notifier;
    // The range of several was widened over frames that none of them is about.
    if (inProgress !== 1 || !view.leaf) return undefined;
    const { gfn } = view;
    return gfn >= rangeStart && gfn < rangeEnd
      ? `${view} maps gfn ${hex(gfn)}, which is being invalidated`
      : undefined;
  },
};

/** Classes N and G, over the VM. */
export const HOST_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-N-03",
    rule: "no more invalidations end than have begun",
    vm: ({ notifier }) =>
      notifier.inProgress < 0 ? [`${notifier.inProgress} invalidations are under way`] : [],
  },
  {
    id: "INV-G-01",
    rule: "bit 63 of a slots generation is set only between publish and end",
    vm: (state) =>
      state.slotSets
        .filter((set) => set.updateInProgress && !state.slotsChanging)
        .map((set) => `the slots of address space ${set.asId} are marked as being changed`),
  },
  {
    id: "INV-G-02",
    rule: "a generation steps by the number of address spaces; no vCPU has cached a later one",
    vm(state) {
      const { addressSpaces } = state.profile;
      const bad = state.slotSets
        .filter((set) => set.asId < addressSpaces && set.generation % addressSpaces !== set.asId)
        .map((set) => `address space ${set.asId} has generation ${set.generation}`);
      const now = state.slotSets[0]!.generation;
      for (const { id, mmioCache } of state.contexts)
        if (mmioCache && mmioCache.generation > now)
          bad.push(`vCPU ${id} has cached mmio of generation ${mmioCache.generation}, now ${now}`);
      return bad;
    },
  },
  {
    id: "INV-G-03",
    rule: "what a vCPU has cached as mmio under the present slots has no memory",
    vm(state) {
      const slots = state.slotSets[0]!;
      return state.contexts.flatMap(({ id, mmioCache: cache }) => {
        if (!cache || cache.generation !== slots.generation) return [];
        const slot = slots.find(cache.gfn);
        return slot?.visible
          ? [`vCPU ${id} takes gfn ${hex(cache.gfn)} of slot ${slot.id} for mmio`]
          : [];
      });
    },
  },
];
