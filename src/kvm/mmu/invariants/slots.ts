import { PAGE_SIZE } from "../../../x86";
import { slotOf } from "../rmap";
import type { EntryInvariant, PageInvariant, VmInvariant } from "./invariant";
import { hex } from "./invariant";

/** Class M: memory slots. */
export const SLOT_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-M-01",
    rule: "slots of one address space do not overlap, and lie on page boundaries",
    vm: (state) =>
      state.slotSets.flatMap((set) =>
        set.slots.flatMap((slot, i) => {
          const next = set.slots[i + 1];
          const bad: string[] = [];
          if (next && slot.baseGfn + slot.npages > next.baseGfn)
            bad.push(`slots ${slot.id} and ${next.id} overlap at gfn ${hex(next.baseGfn)}`);
          if (!Number.isInteger(slot.baseGfn) || !Number.isInteger(slot.npages) || slot.npages < 1)
            bad.push(`slot ${slot.id} is not made of whole pages`);
          if (slot.userspaceAddr % PAGE_SIZE)
            bad.push(`slot ${slot.id} begins inside the page at hva ${hex(slot.userspaceAddr)}`);
          return bad;
        }),
      ),
  },
  {
    id: "INV-M-02",
    rule: "a gpa has one hva: no slot id is used twice in an address space",
    vm: (state) =>
      state.slotSets.flatMap((set) => {
        const ids = set.slots.map((slot) => slot.id);
        return ids
          .filter((id, i) => ids.indexOf(id) !== i)
          .map((id) => `slot id ${id} is used twice in address space ${set.asId}`);
      }),
  },
];

export const SLOT_ENTRY_INVARIANT: EntryInvariant = {
  id: "INV-M-03",
  rule: "no page of the present generation maps a frame of a slot that is going away",
  entry(view) {
    if (!view.leaf || view.state.isObsolete(view.page)) return undefined;
    const { slot } = view;
    return slot && !slot.visible
      ? `${view} maps gfn ${hex(view.gfn)} of the invalid slot ${slot.id}`
      : undefined;
  },
};

export const SLOT_PAGE_INVARIANT: PageInvariant = {
  id: "INV-M-04",
  rule: "no page shadows a table in a slot that is gone",
  page(state, page) {
    if (!page.hasGptes || page.invalid || slotOf(state, page, page.gfn)) return undefined;
    return `sp ${page.serial} shadows the table at gfn ${hex(page.gfn)}, which is in no slot`;
  },
};
