import { pteListEntries, rootPages, type ShadowPage, type Vm } from "../../kvm";
import { entryGva } from "./shadow-entry";

/** Enough to show; a shared table may have more. */
const LIMIT = 8;

/**
 * The addresses entry `index` of a page translates: one for each way up through `parent_ptes` to a
 * page that a root slot holds.
 */
export function gvasOf(vm: Vm, page: ShadowPage, index: number): readonly bigint[] {
  const found = new Set<bigint>();
  climb(vm, page, entryGva(0n, page.level, index), found);
  return [...found].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

function climb(vm: Vm, page: ShadowPage, address: bigint, found: Set<bigint>): void {
  for (const base of rootBases(vm, page)) {
    if (found.size < LIMIT) found.add(base | address);
  }
  for (const sptep of pteListEntries(page.parentPtes)) {
    if (found.size >= LIMIT) return;
    const parent = vm.pageOf(sptep);
    climb(vm, parent, address | entryGva(0n, parent.level, sptep - parent.base), found);
  }
}

/** First addresses of the root slots that hold this page: 0, or the quarters of a PAE root. */
function rootBases(vm: Vm, page: ShadowPage): readonly bigint[] {
  return vm.vcpus.flatMap(({ mmu }) =>
    [mmu.root, ...mmu.prevRoots].flatMap((root) => {
      if (root.kind === "pae")
        return root.pages.flatMap((p, i) => (p === page ? [BigInt(i) << 30n] : []));
      return rootPages(root).includes(page) ? [0n] : [];
    }),
  );
}
