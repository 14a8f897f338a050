import { pagesPerLevel } from "../../../x86";
import { lpageEdge } from "../../memslots";
import { slotOf } from "../rmap";
import { allPages, type VmInvariant } from "./invariant";

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
