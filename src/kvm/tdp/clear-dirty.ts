import { type Gfn, gfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import { ROLE } from "../mmu/role";
import type { ShadowPage } from "../mmu/shadow-page";
import { WRITABLE } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { clearMark } from "./changed-spte";
import { visitRoots } from "./roots";
import { setTdpSpteShared } from "./set-spte";
import { visitRange } from "./visit";

/** Frames that one mask of a dirty log stands for. */
const MASK_BITS = 32;

/**
 * The bit whose next setting is a write: D where the hardware logs the pages whose D it sets, W where
 * it does not, as in trees of a nested guest or without A/D bits.
 */
function watchedBit(state: MmuState, root: ShadowPage): number {
  const needsW = root.role & (ROLE.adDisabled | ROLE.guestMode) || state.format.dirty === 0;
  return needsW ? WRITABLE : state.format.dirty;
}

/**
 * Clears the marks of writing over a whole slot, with page-modification logging (PML): every page written
 * from now on is logged (kvm_tdp_mmu_clear_dirty_slot). The caller flushes.
 */
export const tdpClearDirtySlot = (state: MmuState, slot: MemorySlot): void =>
  clearInSlot(state, slot, 1, (root) => watchedBit(state, root));

/**
 * Takes W from every leaf of the slot of `minLevel` and above, so that each write shows
 * (kvm_tdp_mmu_wrprot_slot). MMU-writable stays: the fast path may give W back. The caller flushes.
 */
export const tdpWriteProtectSlot = (state: MmuState, slot: MemorySlot, minLevel: number): void =>
  clearInSlot(state, slot, minLevel, () => WRITABLE);

function clearInSlot(
  state: MmuState,
  slot: MemorySlot,
  minLevel: number,
  bitOf: (root: ShadowPage) => number,
): void {
  const range = { start: slot.baseGfn, end: gfn(slot.baseGfn + slot.npages), minLevel };
  visitRoots(state, slot.asId, "valid", (root) => {
    const bit = bitOf(root);
    visitRange(state, root, range, (iter) => {
      while (iter.leaf && iter.lo & bit)
        if (setTdpSpteShared(state, iter, iter.lo & ~bit, iter.hi)) break;
      return false;
    });
    return false;
  });
}

/**
 * Makes the next write to each frame `first + i` with bit `i` of `mask` set show again: takes W from its
 * 4K leaves, or clears D unless `writeProtect` (kvm_tdp_mmu_clear_dirty_pt_masked). The caller flushes.
 */
export function tdpClearDirtyMask(
  state: MmuState,
  slot: MemorySlot,
  first: Gfn,
  mask: number,
  writeProtect: boolean,
): void {
  if (mask === 0) return;
  const start = gfn(first + (31 - Math.clz32(mask & -mask)));
  const range = { start, end: gfn(first + MASK_BITS), minLevel: 1 };
  visitRoots(state, slot.asId, "valid", (root) => {
    const bit = writeProtect ? WRITABLE : watchedBit(state, root);
    visitRange(state, root, range, (iter) => {
      const wanted = iter.leaf && iter.level === 1 && (mask >>> (iter.gfn - first)) & 1;
      if (!wanted || !(iter.lo & bit)) return false;
      clearMark(state, iter.sptep, iter.lo & ~bit, iter.hi);
      return false;
    });
    return false;
  });
}
