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
  /** Below the root that a vCPU uses now, not one that it keeps for a CR3 to come back. */
  readonly current: boolean;
}

/** Ids in Shadow Roots leave room for the four pages of a PAE root in each slot. */
const SLOT = 8;

export const rootId = (vcpu: number, slot: number, quarter = 0): string =>
  `roots/${vcpu}.${SLOT * slot + quarter}`;

/** The page of a root, by the numbers in its id, and the first address of its range. */
export function rootPageAt(
  vm: Vm,
  vcpu: number,
  slot: number,
): { readonly page: ShadowPage; readonly base: bigint } | undefined {
  const mmu = vm.vcpus[vcpu]?.mmu;
  const root = mmu?.roots[Math.floor(slot / SLOT)];
  const quarter = slot % SLOT;
  if (root?.kind === "page" && quarter === 0) return { page: root.page, base: 0n };
  const page = root?.kind === "pae" ? root.pages[quarter] : undefined;
  return page && { page, base: BigInt(quarter) << 30n };
}

/** Whether the id is that of a root in use: slot 0 has it, the others are cached. */
export const isCurrent = (id: string): boolean => Number(id.split(".")[1]) < SLOT;

/**
 * The places of entry `index` of a page, one for each way up through `parent_ptes`: below current
 * roots first, then by address, and of those with the same address only one.
 */
export function placesOf(vm: Vm, page: ShadowPage, index: number): readonly Place[] {
  const found = new Map<bigint, Place>();
  climb(vm, page, entryGva(0n, page, index), [index], found);
  return [...found.values()].sort(
    (a, b) => Number(b.current) - Number(a.current) || (a.gva < b.gva ? -1 : 1),
  );
}

function climb(
  vm: Vm,
  page: ShadowPage,
  address: bigint,
  indexes: readonly number[],
  found: Map<bigint, Place>,
): void {
  for (const { base, id, current } of heldBy(vm, page)) {
    const gva = base | address;
    const known = found.get(gva);
    if (known ? current && !known.current : found.size < LIMIT)
      found.set(gva, { gva, id: [id, ...indexes].join("/"), current });
  }
  for (const sptep of pteListEntries(page.parentPtes)) {
    if (found.size >= LIMIT) return;
    const parent = vm.pageOf(sptep);
    const at = sptep - parent.base;
    climb(vm, parent, address | entryGva(0n, parent, at), [at, ...indexes], found);
  }
}

/** The root slots that hold this page, with their first addresses: 0, or the quarters of a PAE root. */
function heldBy(
  vm: Vm,
  page: ShadowPage,
): readonly { readonly base: bigint; readonly id: string; readonly current: boolean }[] {
  return vm.vcpus.flatMap(({ mmu }, vcpu) =>
    mmu.roots.flatMap((root, slot) => {
      const held = (base: bigint, quarter: number) => ({
        base,
        id: rootId(vcpu, slot, quarter),
        current: slot === 0,
      });
      if (root.kind === "pae")
        return root.pages.flatMap((p, i) => (p === page ? [held(BigInt(i) << 30n, i)] : []));
      return rootPages(root).includes(page) ? [held(0n, 0)] : [];
    }),
  );
}
