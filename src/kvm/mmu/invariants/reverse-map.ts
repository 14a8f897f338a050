import { ACC, gfn, pagesPerLevel } from "../../../x86";
import { LEAF_LEVELS, type MemorySlot } from "../../memslots";
import { pteListCount, pteListEntries } from "../pte-list";
import { rmapHead } from "../rmap";
import { roleAccess } from "../role";
import type { ShadowPage } from "../shadow-page";
import type { MmuState } from "../state";
import { EntryView } from "./entry-view";
import type { EntryInvariant, PageInvariant, VmInvariant } from "./invariant";
import { hex } from "./invariant";

/** Entries a chain may have: the one that made it overflow is zapped with it. */
const LONGEST_CHAIN = 1001;

function timesInRmap(view: EntryView): number {
  const { slot } = view;
  const head = slot ? rmapHead(slot, view.gfn, view.page.level) : 0;
  return view.timesIn(head);
}

/** Class R, entry by entry. */
export const REVERSE_MAP_ENTRY_INVARIANTS: readonly EntryInvariant[] = [
  {
    id: "INV-R-01",
    rule: "a present leaf is in the rmap of its gfn and level exactly once",
    entry(view) {
      if (!view.leaf || view.page.tdpMmuPage) return undefined;
      const times = timesInRmap(view);
      return times === 1
        ? undefined
        : `${view} is ${times} times in the rmap of gfn ${hex(view.gfn)}`;
    },
  },
  {
    id: "INV-R-04",
    rule: "a leaf of the TDP MMU is in no rmap",
    entry(view) {
      const wrong = view.page.tdpMmuPage && view.leaf && timesInRmap(view) > 0;
      return wrong ? `${view} is in the rmap of gfn ${hex(view.gfn)}` : undefined;
    },
  },
  {
    id: "INV-R-08",
    rule: "where slot_bitmap is kept, it has the slot of every leaf",
    entry(view) {
      const { slot, page, state } = view;
      if (!view.leaf || !slot || !state.profile.slotBitmap) return undefined;
      return (page.slotBitmap >>> (slot.id & 31)) & 1
        ? undefined
        : `${view} maps slot ${slot.id}, which slot_bitmap lacks`;
    },
  },
  {
    id: "INV-R-05",
    rule: "a leaf of a direct page grants the page's access",
    entry(view) {
      if (!view.leaf || !view.page.direct) return undefined;
      if (view.state.format.isAccessTracked(view.lo, view.hi)) return undefined;
      const access = roleAccess(view.page.role);
      const differ = view.grants ^ access;
      const user = (differ & ACC.user) === 0;
      // A huge leaf is not executable while nx_huge_pages is on (INV-S-12).
      const withheld = view.page.level > 1 && view.state.knobs.nxHugePages;
      const exec = withheld || (differ & ACC.exec) === 0;
      const write = !(view.grants & ACC.write) || (access & ACC.write) !== 0;
      return user && exec && write
        ? undefined
        : `${view} differs from the access of its direct page`;
    },
  },
  {
    id: "INV-R-06",
    rule: "a leaf of a synced page has the gfn its gpte has now",
    entry(view) {
      if (!view.leaf || view.page.level > 1 || !view.synced) return undefined;
      return !view.gpte || view.gpteFrame === view.gfn
        ? undefined
        : `${view} maps gfn ${hex(view.gfn)}, its gpte gfn ${hex(view.gpteFrame)}`;
    },
  },
  {
    id: "INV-R-07",
    rule: "an entry that points at a page is among its parents exactly once",
    entry(view) {
      if (!view.present || view.leaf) return undefined;
      const { child } = view;
      const times = child ? view.timesIn(child.parentPtes) : 1;
      return times === 1
        ? undefined
        : `${view} is ${times} times among the parents of sp ${child?.serial}`;
    },
  },
];

/** INV-R-07, the other way. */
export const PARENT_INVARIANT: PageInvariant = {
  id: "INV-R-07",
  rule: "every parent entry points at the page",
  page(state: MmuState, page: ShadowPage) {
    for (const sptep of pteListEntries(page.parentPtes)) {
      const view = new EntryView(state);
      const parent = state.pageOf(sptep);
      view.moveTo(parent, sptep - parent.base);
      if (!view.present || view.leaf || view.child !== page)
        return `sp ${page.serial} lists ${view} as a parent, which does not point at it`;
    }
    return undefined;
  },
};

/** Class R, over all slots. */
export const REVERSE_MAP_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-R-02",
    rule: "every entry of an rmap is a present leaf of that gfn and level",
    vm: (state) => everyWord(state, wrongEntries),
  },
  {
    id: "INV-R-03",
    rule: "the kind of a word tells its count, and no chain is longer than 1001",
    vm: (state) =>
      everyWord(state, (_state, slot, level, index) => {
        const head = slot.arch.rmap[level - 1]![index]!;
        const count = pteListCount(head);
        const wrong = typeof head === "number" ? head < 0 : count < 2 || count > LONGEST_CHAIN;
        return wrong
          ? [`rmap word ${index} of level ${level} in slot ${slot.id} has ${count} entries`]
          : [];
      }),
  },
];

type WordCheck = (state: MmuState, slot: MemorySlot, level: number, index: number) => string[];

function everyWord(state: MmuState, check: WordCheck): string[] {
  const found: string[] = [];
  for (const set of state.slotSets)
    for (const slot of set.slots)
      for (const level of LEAF_LEVELS) {
        const heads = slot.arch.rmap[level - 1]!;
        for (let index = 0; index < heads.length; index++)
          if (heads[index] !== 0) found.push(...check(state, slot, level, index));
      }
  return found;
}

function wrongEntries(state: MmuState, slot: MemorySlot, level: number, index: number): string[] {
  const span = pagesPerLevel(level);
  const frame = gfn((Math.floor(slot.baseGfn / span) + index) * span);
  return pteListEntries(slot.arch.rmap[level - 1]![index]!).flatMap((sptep) => {
    const page = state.pageOf(sptep);
    const view = new EntryView(state);
    view.moveTo(page, sptep - page.base);
    const right = view.leaf && page.level === level && view.gfn === frame;
    return right ? [] : [`the rmap of gfn ${hex(frame)}, level ${level} has ${view}`];
  });
}
