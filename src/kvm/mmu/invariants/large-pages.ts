import { gfn, hva, pagesPerLevel } from "../../../x86";
import { lpageEdge } from "../../memslots";
import { lpageCount } from "../lpage";
import { slotOf } from "../rmap";
import { WRITABLE } from "../spte";
import { allPages, type EntryInvariant, hex, type VmInvariant } from "./invariant";

/** Class L, of a large leaf. */
export const LARGE_LEAF_INVARIANTS: readonly EntryInvariant[] = [
  {
    id: "INV-L-03",
    rule: "a large leaf over a guest table or a ragged end is not writable, nor can it become so",
    entry(view) {
      const { leaf, page, slot, lo } = view;
      if (!leaf || page.level === 1 || !slot) return undefined;
      const writable = (lo & WRITABLE) !== 0 || view.mmuWritable;
      const count = writable ? lpageCount(slot, view.gfn, page.level) : 0;
      return count > 0 ? `${view} may be written, with an lpage count of ${count}` : undefined;
    },
  },
  {
    id: "INV-L-04",
    rule: "a large leaf of a slot that logs is not writable, unless the slot counts as dirty all over",
    entry(view) {
      const { leaf, page, slot, lo, state } = view;
      if (!leaf || page.level === 1 || !(lo & WRITABLE)) return undefined;
      return slot?.logsDirty && !state.dirtyLogMode.initiallySet
        ? `${view} is large and writable, and slot ${slot.id} logs`
        : undefined;
    },
  },
  {
    id: "INV-L-05",
    rule: "a large leaf lies in one slot and in one host page of its size",
    entry(view) {
      const { leaf, page, slot, state } = view;
      if (!leaf || page.level === 1 || !slot) return undefined;
      const last = gfn(view.gfn + pagesPerLevel(page.level) - 1);
      if (!slot.contains(last))
        return `${view} reaches beyond slot ${slot.id}, to gfn ${hex(last)}`;
      return state.hostProcess.mappingLevel(hva(slot.hvaOf(view.gfn))) < page.level
        ? `${view} is larger than its host page`
        : undefined;
    },
  },
];

/** INV-L-02 of one count: the constant part never changes, and tables only add to it. */
export const LARGE_COUNT_INVARIANT: VmInvariant = {
  id: "INV-L-02",
  rule: "no lpage count is below its edge constant",
  vm: (state) =>
    state.slotSets.flatMap((set) =>
      set.slots.flatMap((slot) =>
        [2, 3].flatMap((level) =>
          [...slot.arch.lpage[level - 2]!].flatMap((count, i) =>
            count < lpageEdge(slot, level, i)
              ? [`slot ${slot.id}: frame ${i} of ${pagesPerLevel(level)} pages counts ${count}`]
              : [],
          ),
        ),
      ),
    ),
};

/** Class L as far as shadow pages make it move. */
export const LARGE_PAGE_INVARIANT: VmInvariant = {
  id: "INV-L-01",
  rule: "an lpage count is its edge constant plus the guest tables inside the frame",
  vm(state) {
    const tables = new Map<string, number>();
    for (const page of allPages(state)) {
      const slot = page.hasGptes && !page.invalid ? slotOf(state, page, page.gfn) : undefined;
      if (!slot) continue;
      for (const level of [2, 3]) {
        const key = `${slot.asId} ${slot.id} ${level} ${slot.indexOf(page.gfn, level)}`;
        tables.set(key, (tables.get(key) ?? 0) + 1);
      }
    }
    return state.slotSets.flatMap((set) =>
      set.slots.flatMap((slot) =>
        [2, 3].flatMap((level) => {
          const bad: string[] = [];
          slot.arch.lpage[level - 2]!.forEach((count, i) => {
            const right =
              lpageEdge(slot, level, i) + (tables.get(`${set.asId} ${slot.id} ${level} ${i}`) ?? 0);
            if (count !== right)
              bad.push(
                `slot ${slot.id}: frame ${i} of ${pagesPerLevel(level)} pages counts ${count}, should be ${right}`,
              );
          });
          return bad;
        }),
      ),
    );
  },
};
