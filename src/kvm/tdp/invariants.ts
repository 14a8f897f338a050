import type { EntryInvariant, VmInvariant } from "../mmu/invariants/invariant";
import { rootPages } from "../mmu/root";
import { ENTRIES, type ShadowPage } from "../mmu/shadow-page";
import { isLeaf } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { PAGES_STAT } from "../mmu/stats";
import { isFrozen } from "./frozen";

export const FROZEN_INVARIANT: EntryInvariant = {
  id: "INV-S-13",
  rule: "a frozen entry is in a page that was taken out of its tree",
  entry: (view) =>
    isFrozen(view.state.format, view.lo, view.hi)
      ? `${view} is frozen, and its page is in use`
      : undefined,
};

/** What must hold for the trees, besides what holds for every page. */
export const TDP_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-P-02",
    rule: "tdp_mmu_root_count counts the vCPUs that hold the root, and the MMU until it is emptied",
    vm: (state) =>
      (state.tdpMmu?.roots ?? []).flatMap((root) => {
        const own = !root.invalid || state.tdpMmu?.scheduledToZap.has(root) ? 1 : 0;
        const walkers = state.tdpMmu?.walked.filter((each) => each === root).length ?? 0;
        const wanted = holders(state, root) + own + walkers;
        return root.rootCount === wanted
          ? []
          : [`TDP root sp ${root.serial} has count ${root.rootCount}, ${wanted} hold it`];
      }),
  },
  {
    id: "INV-P-04",
    rule: "there is one valid tree for a role",
    vm(state) {
      const valid = (state.tdpMmu?.roots ?? []).filter((root) => !root.invalid);
      return valid
        .filter((root, i) => valid.findIndex((other) => other.role === root.role) !== i)
        .map((root) => `TDP root sp ${root.serial} has the role of another`);
    },
  },
  {
    id: "INV-P-08",
    rule: "a page of the TDP MMU is a root, or hangs in a tree by one entry of its parent",
    vm: (state) =>
      [...(state.tdpMmu?.pages ?? [])].flatMap((page) => {
        const root = state.tdpMmu?.roots.includes(page);
        const linked = typeof page.parentPtes === "number" && page.parentPtes !== 0;
        if (root ? page.parentPtes === 0 : linked && page.rootCount === 0) return [];
        return [`sp ${page.serial} of the TDP MMU is neither a root nor has one parent`];
      }),
  },
  {
    id: "INV-T-04",
    rule: "tables wait to be freed only while somebody may still see them",
    vm: ({ grace }) =>
      grace.pending > 0 && !grace.occupied ? [`${grace.pending} tables were not freed`] : [],
  },
];

/** Goes through every entry. */
export const GAUGE_INVARIANT: VmInvariant = {
  id: "INV-P-05",
  rule: "the gauges of pages count the leaves",
  vm: (state) =>
    PAGES_STAT.flatMap((name, level) => {
      if (!state.tdpMmu || !name) return [];
      const leaves = leavesOf(state, level);
      return state.stats[name] === leaves
        ? []
        : [`${name} is ${state.stats[name]}, there are ${leaves} leaves of level ${level}`];
    }),
};

const holders = (state: MmuState, page: ShadowPage): number =>
  state.contexts
    .flatMap(({ mmus }) => mmus.flatMap((mmu) => mmu.roots.flatMap(rootPages)))
    .filter((held) => held === page).length;

function leavesOf(state: MmuState, level: number): number {
  const { words, format } = state;
  let leaves = 0;
  for (const page of [...state.active, ...state.pinned, ...(state.tdpMmu?.pages ?? [])]) {
    if (page.level !== level) continue;
    for (let word = 2 * page.base; word < 2 * (page.base + ENTRIES); word += 2)
      if (format.isPresent(words[word]!, words[word + 1]!) && isLeaf(words[word]!, level)) leaves++;
  }
  return leaves;
}
