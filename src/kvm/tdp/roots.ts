import { gfn } from "../../x86";
import { ROLE, type RoleWord, roleSmm } from "../mmu/role";
import type { ShadowPage } from "../mmu/shadow-page";
import type { MmuState } from "../mmu/state";
import { newTdpPage, retirePage, treesOf } from "./pages";

/** References of a new root: its vCPU's, and the MMU's own, which lasts until the root is emptied. */
const BIRTH_COUNT = 2;

/**
 * A root of this role for a vCPU, which holds a reference from now on: the one there is, or a new one
 * (kvm_tdp_mmu_alloc_root). Undefined when the host has no frame left.
 */
export function takeTdpRoot(state: MmuState, role: RoleWord): ShadowPage | undefined {
  const trees = treesOf(state);
  const known = trees.roots.find((root) => root.role === role);
  if (known) {
    known.rootCount++;
    return known;
  }
  const root = newTdpPage(state, gfn(0), role);
  if (!root) return undefined;
  root.rootCount = BIRTH_COUNT;
  trees.roots.unshift(root);
  trees.pages.add(root);
  return root;
}

/** Gives a reference back (kvm_tdp_mmu_put_root). The last one of a root frees it: it is invalid and empty. */
export function putTdpRoot(state: MmuState, root: ShadowPage): void {
  root.rootCount--;
  if (root.rootCount > 0) return;
  if (!root.invalid) throw new Error("the last reference to a valid TDP root was given back");
  const trees = treesOf(state);
  trees.roots.splice(trees.roots.indexOf(root), 1);
  trees.pages.delete(root);
  retirePage(state, root);
}

/** Which roots: those a vCPU may still load, or all that may hold translations. */
export type RootKind = "valid" | "all";

/**
 * Each root of an address space (of every one when `undefined`), held while it is visited, as the visit
 * may let others run. True when one of the visits says so.
 */
export function visitRoots(
  state: MmuState,
  asId: number | undefined,
  kind: RootKind,
  visit: (root: ShadowPage) => boolean,
): boolean {
  let any = false;
  for (const root of [...treesOf(state).roots]) {
    if (root.rootCount === 0 || (kind === "valid" && root.invalid)) continue;
    if (asId !== undefined && roleSmm(root.role) !== asId) continue;
    root.rootCount++;
    if (heldWhile(state, root, () => visit(root))) any = true;
  }
  return any;
}

/** Runs `work` with a reference to the root, which is given back after. */
export function heldWhile(state: MmuState, root: ShadowPage, work: () => boolean): boolean {
  const { walked } = treesOf(state);
  walked.push(root);
  const answer = work();
  walked.splice(walked.lastIndexOf(root), 1);
  putTdpRoot(state, root);
  return answer;
}

/**
 * Makes every root obsolete at once; vCPUs let go of theirs at their next entry. What is in them goes
 * with `zapInvalidatedRoots`.
 */
export function invalidateTdpRoots(state: MmuState): void {
  const trees = treesOf(state);
  for (const root of trees.roots) {
    if (root.invalid) continue;
    root.role |= ROLE.invalid;
    trees.scheduledToZap.add(root);
  }
  // Asked to let go of its root, a vCPU leaves the guest, and comes back with another one and an empty TLB.
  for (const context of state.contexts) context.cpu.flushTlb();
}
