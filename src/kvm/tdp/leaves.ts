import { type Gfn, pagesPerLevel } from "../../x86";
import { roleSmm } from "../mmu/role";
import { ENTRIES, type ShadowPage } from "../mmu/shadow-page";
import type { Sptep } from "../mmu/spte";
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
