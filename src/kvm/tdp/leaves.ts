import { type Gfn, pagesPerLevel } from "../../x86";
import { LEAF_LEVELS, type MemorySlot } from "../memslots";
import { roleSmm } from "../mmu/role";
import { ENTRIES, type ShadowPage } from "../mmu/shadow-page";
import { isLeaf, type Sptep } from "../mmu/spte";
import { isPresentAt } from "../mmu/spte-write";
import type { MmuState } from "../mmu/state";
import { childAt } from "../mmu/unsync";

/** Every leaf of the trees of an address space that maps this 4K frame. Looks only. */
export function tdpLeavesOf(state: MmuState, asId: number, frame: Gfn): readonly Sptep[] {
  const roots = state.tdpMmu?.roots ?? [];
  return roots
    .filter((root) => roleSmm(root.role) === asId)
    .map((root) => lastEntry(state, root, frame))
    .filter((sptep) => sptep >= 0 && isPresentAt(state, sptep));
}

/** Leaves that map frames of the slot, of 4K, 2M and 1G: in all trees, those about to go as well. Looks only. */
export function tdpLeavesIn(state: MmuState, slot: MemorySlot): number[] {
  const counts = LEAF_LEVELS.map(() => 0);
  for (const page of state.tdpMmu?.pages ?? []) {
    if (roleSmm(page.role) !== slot.asId || page.level > counts.length) continue;
    for (let i = 0; i < ENTRIES; i++) {
      const lo = state.words[2 * (page.base + i)]!;
      if (!isPresentAt(state, page.base + i) || !isLeaf(lo, page.level)) continue;
      if (slot.contains(page.gfnAt(i))) counts[page.level - 1]!++;
    }
  }
  return counts;
}

/** The last entry on the way to the frame; -1 when the tree does not reach as far. */
function lastEntry(state: MmuState, root: ShadowPage, frame: Gfn): Sptep {
  let page = root;
  for (;;) {
    const index = Math.floor((frame - page.gfn) / pagesPerLevel(page.level));
    if (index < 0 || index >= ENTRIES) return -1;
    const child = childAt(state, page.base + index);
    if (!child) return page.base + index;
    page = child;
  }
}
