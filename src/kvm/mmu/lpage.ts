import type { Gfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import type { MmuState } from "./state";

/** Levels that have a count: 2M and 1G. */
const LARGE_LEVELS = [2, 3] as const;

/** `disallow_lpage` of the frame of `level` that holds `frame`; 0 = a large page may be used. */
export const lpageCount = (slot: MemorySlot, frame: Gfn, level: number): number =>
  slot.arch.lpage[level - 2]?.[slot.indexOf(frame, level)] ?? 1;

/** A frame that must stay visible at 4K grain (a guest table) bars large pages around it. */
export const disallowLpage = (state: MmuState, slot: MemorySlot, frame: Gfn): void =>
  adjust(state, slot, frame, 1);
export const allowLpage = (state: MmuState, slot: MemorySlot, frame: Gfn): void =>
  adjust(state, slot, frame, -1);

function adjust(state: MmuState, slot: MemorySlot, frame: Gfn, by: 1 | -1): void {
  for (const level of LARGE_LEVELS) {
    const counts = slot.arch.lpage[level - 2]!;
    const index = slot.indexOf(frame, level);
    const before = counts[index]!;
    counts[index] = before + by;
    if (before + by < 0) throw new Error(`lpage count of gfn 0x${frame.toString(16)} fell below 0`);
    if (state.trace.wants("lpage_count"))
      state.trace.emit("lpage_count", {
        slot: slot.id,
        level,
        index,
        before,
        after: before + by,
        why: "guest table",
      });
  }
}
