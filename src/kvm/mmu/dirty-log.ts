import { gfn } from "../../x86";
import { LEAF_LEVELS, type MemorySlot } from "../memslots";
import { pteListEntries } from "./pte-list";
import { dropSpte } from "./rmap";
import { writeProtectSpte } from "./spte-write";
import type { MmuState } from "./state";

/** Logging was turned on: every later write must fault once. Large leaves go, small ones lose W. */
export function writeProtectSlot(state: MmuState, slot: MemorySlot): void {
  for (const level of LEAF_LEVELS)
    for (const head of slot.arch.rmap[level - 1]!)
      for (const sptep of pteListEntries(head))
        if (level === 1) writeProtectSpte(state, sptep, false);
        else dropSpte(state, sptep, "large-replace");
  state.flushRemoteTlbs("dirty logging turned on");
}

/**
 * KVM_GET_DIRTY_LOG: the bitmap since the last call, which it clears. Bits are taken before their
 * frames are protected again, and TLBs flushed before the caller sees them, so no write is lost.
 */
export function getDirtyLog(state: MmuState, slot: MemorySlot): Uint32Array {
  const bitmap = slot.dirtyBitmap;
  if (!bitmap) return new Uint32Array(0);
  const taken = bitmap.slice();
  bitmap.fill(0);
  let any = false;
  for (let i = 0; i < slot.npages; i++) {
    if (!((taken[i >> 5]! >>> (i & 31)) & 1)) continue;
    any = true;
    const head = slot.arch.rmap[0][slot.indexOf(gfn(slot.baseGfn + i), 1)]!;
    for (const sptep of pteListEntries(head)) writeProtectSpte(state, sptep, false);
  }
  if (any) state.flushRemoteTlbs("dirty log taken");
  return taken;
}
