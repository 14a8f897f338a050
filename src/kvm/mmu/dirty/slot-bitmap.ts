import type { MemorySlot } from "../../memslots";
import { dropSpte, slotOf } from "../rmap";
import { ENTRIES, type ShadowPage } from "../shadow-page";
import { isLeaf, WRITABLE } from "../spte";
import { writeProtectSpte } from "../spte-write";
import type { MmuState } from "../state";

/**
 * Takes W from every leaf of the slot in the way of older kernels (kvm_mmu_slot_remove_write_access):
 * through the pages whose `slot_bitmap` has the slot, instead of the reverse map. Large leaves go.
 */
export function protectBySlotBitmap(state: MmuState, slot: MemorySlot): void {
  for (const page of state.active)
    if ((page.slotBitmap >>> (slot.id & 31)) & 1) protectPage(state, slot, page);
}

function protectPage(state: MmuState, slot: MemorySlot, page: ShadowPage): void {
  const { words, format } = state;
  for (let i = 0; i < ENTRIES; i++) {
    const sptep = page.base + i;
    const lo = words[2 * sptep]!;
    const present = format.isPresent(lo, words[2 * sptep + 1]!);
    if (!present || !isLeaf(lo, page.level) || !(lo & WRITABLE)) continue;
    if (slotOf(state, page, page.gfnAt(i)) !== slot) continue;
    if (page.level > 1) dropSpte(state, sptep, "large-replace");
    else writeProtectSpte(state, sptep, false);
  }
}

/** The log of the whole slot, after which every frame of it is protected again; one bit is enough. */
export function takeWholeSlot(state: MmuState, slot: MemorySlot): Uint32Array {
  const bitmap = slot.dirtyBitmap!;
  const taken = bitmap.slice();
  if (taken.every((word) => word === 0)) return taken;
  protectBySlotBitmap(state, slot);
  bitmap.fill(0);
  state.flushRemoteTlbs("dirty log taken");
  return taken;
}
