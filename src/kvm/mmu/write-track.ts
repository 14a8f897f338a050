import type { Gfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import { allowLpage, disallowLpage } from "./lpage";
import { writeProtectGfn } from "./rmap";
import type { MmuState } from "./state";

/** The frame holds an upper-level guest table: every write to it is emulated, none unsyncs it. */
export const isWriteTracked = (slot: MemorySlot, frame: Gfn): boolean =>
  slot.arch.writeTrack[frame - slot.baseGfn]! > 0;

/** Adds one tracker. True when TLBs must be flushed: writable translations were taken away. */
export function trackWrites(state: MmuState, slot: MemorySlot, frame: Gfn): boolean {
  count(state, slot, frame, 1);
  disallowLpage(state, slot, frame);
  return writeProtectGfn(state, slot, frame);
}

export function untrackWrites(state: MmuState, slot: MemorySlot, frame: Gfn): void {
  count(state, slot, frame, -1);
  allowLpage(state, slot, frame);
}

function count(state: MmuState, slot: MemorySlot, frame: Gfn, by: 1 | -1): void {
  const { writeTrack } = slot.arch;
  const index = frame - slot.baseGfn;
  const before = writeTrack[index]!;
  if (before + by < 0) throw new Error(`track count of gfn 0x${frame.toString(16)} fell below 0`);
  writeTrack[index] = before + by;
  if (state.trace.wants("track_count"))
    state.trace.emit("track_count", { gfn: frame, before, after: before + by });
}
