import { type Gfn, gfn, pagesPerLevel } from "../../../x86";
import { LEAF_LEVELS, type MemorySlot } from "../../memslots";
import { tdpClearDirtyMask } from "../../tdp/clear-dirty";
import { tdpWriteProtectGfn, tdpWriteProtectSlot } from "../../tdp/write-protect";
import { pteListEntries } from "../pte-list";
import { rmapHead } from "../rmap";
import { writeProtectSpte } from "../spte-write";
import type { MmuState } from "../state";
import { splitHugePages } from "./split";

/** Takes W from every leaf of the slot of at least this level (kvm_mmu_slot_remove_write_access). */
export function removeWriteAccess(state: MmuState, slot: MemorySlot, minLevel: number): void {
  for (const level of LEAF_LEVELS) {
    if (level < minLevel) continue;
    for (const head of slot.arch.rmap[level - 1]!)
      for (const sptep of pteListEntries(head)) writeProtectSpte(state, sptep, false);
  }
  if (state.tdpMmu) tdpWriteProtectSlot(state, slot, minLevel);
}

/**
 * Frames whose bits were just taken will fault again at the next write
 * (kvm_arch_mmu_enable_log_dirty_pt_masked): bit `i` of `maskLo`, `maskHi` is page `offset + i` of the
 * slot. The caller flushes before anybody is told of the bits.
 */
export function enableLogMasked(
  state: MmuState,
  slot: MemorySlot,
  offset: number,
  maskLo: number,
  maskHi: number,
): void {
  if (state.dirtyLogMode.initiallySet) breakHuge(state, slot, offset, maskLo, maskHi);
  protectMasked(state, slot, offset, maskLo);
  protectMasked(state, slot, offset + 32, maskHi);
}

function protectMasked(state: MmuState, slot: MemorySlot, offset: number, mask: number): void {
  const first = gfn(slot.baseGfn + offset);
  if (state.tdpMmu) tdpClearDirtyMask(state, slot, first, mask, true);
  for (let rest = mask; rest !== 0; rest &= rest - 1) {
    const bit = 31 - Math.clz32(rest & -rest);
    const frame = gfn(first + bit);
    for (const sptep of pteListEntries(rmapHead(slot, frame, 1)))
      writeProtectSpte(state, sptep, false);
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
