import { type Gfn, gfn, hva, pagesPerLevel } from "../../x86";
import type { MemorySlot } from "../memslots";
import { type Fault, NOSLOT_PFN } from "./fault-state";
import { lpageCount } from "./lpage";
import type { MmuState } from "./state";

/**
 * Chooses the size of the mapping (mmu.rst, "Large pages"): no larger than the guest's page, the
 * host's, and what the tables inside the frame and the shape of the slot allow. Rounds the pfn.
 */
export function adjustLevel(state: MmuState, fault: Fault): void {
  fault.goalLevel = 1;
  fault.reqLevel = 1;
  fault.hugePageDisallowed = fault.fetch && state.knobs.nxHugePages;
  const { slot } = fault;
  if (fault.maxLevel === 1 || !slot || fault.pfn === NOSLOT_PFN || slot.logsDirty) return;
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
