import { type Gfn, gfn, pagesPerLevel } from "../../../x86";
import { LEAF_LEVELS, type MemorySlot } from "../../memslots";
import { tdpClearDirtyMask, tdpClearDirtySlot, tdpWriteProtectSlot } from "../../tdp/clear-dirty";
import { tdpWriteProtectGfn } from "../../tdp/write-protect";
import { pteListEntries } from "../pte-list";
import { rmapHead } from "../rmap";
import type { Sptep } from "../spte";
import { clearDirtySpte, writeProtectSpte } from "../spte-write";
import type { MmuState } from "../state";
import { watchBySlotBitmap } from "./slot-bitmap";
import { splitHugePages } from "./split";

/*
 * How a write is made to show again: W is taken away, so that it faults, or where the processor logs the
 * D bits that it sets (PML) and uses them in this leaf, D is cleared. Of a huge leaf W is taken in either
 * case: the log is kept for 4K pages.
 */

/** Watches every leaf of a slot that begins to log. The caller flushes. */
export function watchSlot(state: MmuState, slot: MemorySlot): void {
  if (state.profile.slotBitmap) {
    watchBySlotBitmap(state, slot);
    return;
  }
  for (const level of LEAF_LEVELS)
    for (const head of slot.arch.rmap[level - 1]!)
      for (const sptep of pteListEntries(head)) {
        if (level === 1) watchLeaf(state, sptep);
        else writeProtectSpte(state, sptep, false);
      }
  if (!state.tdpMmu) return;
  if (state.pml) tdpClearDirtySlot(state, slot);
  tdpWriteProtectSlot(state, slot, state.pml ? 2 : 1);
}

function watchLeaf(state: MmuState, sptep: Sptep): void {
  const hi = state.words[2 * sptep + 1]!;
  if (state.pml && state.format.logsDirty(hi)) clearDirtySpte(state, sptep);
  else writeProtectSpte(state, sptep, false);
}

/**
 * Frames whose bits were just taken are watched again (kvm_arch_mmu_enable_log_dirty_pt_masked): bit
 * `i` of `maskLo`, `maskHi` is page `offset + i` of the slot. The caller flushes before anybody is
 * told of the bits.
 */
export function watchMasked(
  state: MmuState,
  slot: MemorySlot,
  offset: number,
  maskLo: number,
  maskHi: number,
): void {
  if (state.dirtyLogMode.initiallySet) breakHuge(state, slot, offset, maskLo, maskHi);
  watchHalf(state, slot, offset, maskLo);
  watchHalf(state, slot, offset + 32, maskHi);
}

function watchHalf(state: MmuState, slot: MemorySlot, offset: number, mask: number): void {
  const first = gfn(slot.baseGfn + offset);
  if (state.tdpMmu) tdpClearDirtyMask(state, slot, first, mask, !state.pml);
  for (let rest = mask; rest !== 0; rest &= rest - 1) {
    const bit = 31 - Math.clz32(rest & -rest);
    const frame = gfn(first + bit);
    for (const sptep of pteListEntries(rmapHead(slot, frame, 1))) watchLeaf(state, sptep);
  }
}

/**
 * The slot began to log with all bits set and nothing protected, so huge leaves may still be writable:
 * those over the range are split, or lose W so that the next write splits them. 64 pages touch two huge
 * pages at most.
 */
function breakHuge(
  state: MmuState,
  slot: MemorySlot,
  offset: number,
  maskLo: number,
  maskHi: number,
): void {
  const first = gfn(slot.baseGfn + offset + lowestBit(maskLo, maskHi));
  const last = gfn(slot.baseGfn + offset + highestBit(maskLo, maskHi));
  if (state.knobs.eagerPageSplit) splitHugePages(state, slot, first, gfn(last + 1));
  protectHugeAround(state, slot, first);
  const span = pagesPerLevel(2);
  if (Math.floor(first / span) !== Math.floor(last / span)) protectHugeAround(state, slot, last);
}

/** Takes W, and MMU-writable as kernels do here, from the huge leaves that hold the frame. */
function protectHugeAround(state: MmuState, slot: MemorySlot, frame: Gfn): void {
  for (const level of [2, 3])
    for (const sptep of pteListEntries(rmapHead(slot, frame, level)))
      writeProtectSpte(state, sptep, true);
  if (state.tdpMmu) tdpWriteProtectGfn(state, slot, frame, 2);
}

const lowestBit = (lo: number, hi: number): number =>
  lo !== 0 ? 31 - Math.clz32(lo & -lo) : 63 - Math.clz32(hi & -hi);
const highestBit = (lo: number, hi: number): number =>
  hi !== 0 ? 63 - Math.clz32(hi) : 31 - Math.clz32(lo);
