import { pteListEntries, rootPages, type ShadowPage, type Vm } from "../../kvm";
import { entryGva } from "./shadow-entry";

/** Enough to show; a shared table may have more. */
const LIMIT = 8;

/** One way to reach an entry from a page that a root slot holds. */
export interface Place {
  /** The address that the entry translates when reached this way. */
  readonly gva: bigint;
  /** Its id in Shadow Roots. */
  readonly id: string;
}

/** Ids in Shadow Roots leave room for the four pages of a PAE root in each slot. */
export const rootId = (vcpu: number, slot: number, quarter = 0): string =>
  `roots/${vcpu}.${8 * slot + quarter}`;

/**
 * The places of entry `index` of a page, one for each way up through `parent_ptes`, lowest address
 * first and of those with the same address only one.
 */
export function placesOf(vm: Vm, page: ShadowPage, index: number): readonly Place[] {
  const found = new Map<bigint, Place>();
  climb(vm, page, entryGva(0n, page.level, index), [index], found);
  return [...found.values()].sort((a, b) => (a.gva < b.gva ? -1 : a.gva > b.gva ? 1 : 0));
}

function climb(
  vm: Vm,
  page: ShadowPage,
  address: bigint,
  indexes: readonly number[],
  found: Map<bigint, Place>,
): void {
  for (const { base, id } of heldBy(vm, page)) {
    const gva = base | address;
    if (found.size < LIMIT && !found.has(gva))
      found.set(gva, { gva, id: [id, ...indexes].join("/") });
  }
  for (const sptep of pteListEntries(page.parentPtes)) {
    if (found.size >= LIMIT) return;
    const parent = vm.pageOf(sptep);
    const at = sptep - parent.base;
    climb(vm, parent, address | entryGva(0n, parent.level, at), [at, ...indexes], found);
  }
}

/** The root slots that hold this page, with their first addresses: 0, or the quarters of a PAE root. */
function heldBy(
  vm: Vm,
  page: ShadowPage,
): readonly { readonly base: bigint; readonly id: string }[] {
  return vm.vcpus.flatMap(({ mmu }, vcpu) =>
    [mmu.root, ...mmu.prevRoots].flatMap((root, slot) => {
      if (root.kind === "pae")
        return root.pages.flatMap((p, i) =>
          p === page ? [{ base: BigInt(i) << 30n, id: rootId(vcpu, slot, i) }] : [],
        );
      return rootPages(root).includes(page) ? [{ base: 0n, id: rootId(vcpu, slot) }] : [];
    }),
  );
}
