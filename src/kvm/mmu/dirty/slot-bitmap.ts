import type { MemorySlot } from "../../memslots";
import { dropSpte } from "../rmap";
import { ENTRIES, type ShadowPage } from "../shadow-page";
import { isLeaf } from "../spte";
import { writeProtectSpte } from "../spte-write";
import type { MmuState } from "../state";

/**
 * Kernels before 3.7 watch a whole slot by going through the shadow pages, of which only those are looked
 * at that note the slot in their `slot_bitmap` (mmu.txt). Of these every leaf loses W, of whatever slot;
 * large leaves go. Pages in an aliasing slot may be missed. The caller flushes.
 */
export function watchBySlotBitmap(state: MmuState, slot: MemorySlot): void {
  for (const page of state.active) if (mapsSlot(page, slot)) protectPage(state, page);
}

const mapsSlot = (page: ShadowPage, slot: MemorySlot): boolean =>
  ((page.slotBitmap >>> slot.id) & 1) !== 0;

function protectPage(state: MmuState, page: ShadowPage): void {
  for (let sptep = page.base; sptep < page.base + ENTRIES; sptep++) {
    const lo = state.words[2 * sptep]!;
    const hi = state.words[2 * sptep + 1]!;
    if (!state.format.isPresent(lo, hi) || !isLeaf(lo, page.level)) continue;
    if (page.level > 1) dropSpte(state, sptep, "large-replace");
    else writeProtectSpte(state, sptep, false);
  }
}
