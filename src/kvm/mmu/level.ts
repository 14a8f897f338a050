import { type Gfn, gfn, hva, pagesPerLevel } from "../../x86";
import type { MemorySlot } from "../memslots";
import type { Fault } from "./fault-state";
import { lpageCount } from "./lpage";
import type { MmuState } from "./state";

/**
 * Chooses the size of the mapping (mmu.rst, "Large pages"): no larger than the guest's page, the
 * host's, and what the tables inside the frame and the shape of the slot allow; 4K, as the fault begins,
 * where nothing larger is asked about. Rounds the pfn.
 */
export function adjustLevel(state: MmuState, fault: Fault): void {
  fault.hugePageDisallowed = fault.fetch && state.knobs.nxHugePages;
  const { slot } = fault;
  if (!slot || fault.maxLevel === 1 || slot.logsDirty) return;
  fault.reqLevel = maxMappingLevel(state, slot, fault.gfn, fault.maxLevel);
  if (fault.hugePageDisallowed) return;
  fault.goalLevel = fault.reqLevel;
  fault.pfn -= fault.pfn % pagesPerLevel(fault.goalLevel);
}

/** Largest level up to `maxLevel` at which the host page and what is counted in the frame let it be mapped. */
export function maxMappingLevel(
  state: MmuState,
  slot: MemorySlot,
  frame: Gfn,
  maxLevel: number,
): number {
  let level = maxLevel;
  while (level > 1 && lpageCount(slot, frame, level) !== 0) level--;
  return level === 1 ? 1 : Math.min(level, state.hostProcess.mappingLevel(hva(slot.hvaOf(frame))));
}

/** First gfn of the frame of `level` that holds `frame`. */
export const roundForLevel = (frame: Gfn, level: number): Gfn =>
  gfn(frame - (frame % pagesPerLevel(level)));
