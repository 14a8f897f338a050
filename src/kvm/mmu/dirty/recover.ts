import type { MemorySlot } from "../../memslots";
import { tdpRecoverHugePages } from "../../tdp/recover";
import { maxMappingLevel } from "../level";
import { pteListEntries } from "../pte-list";
import { dropSpte } from "../rmap";
import type { MmuState } from "../state";

/** Small leaves that a huge one could replace are found below this level. */
const LARGEST = 3;

/**
 * The slot no longer logs (kvm_mmu_recover_huge_pages): leaves of direct pages go where a larger one
 * could stand, and the next fault makes that. Pages with gptes stay: their size is the guest's choice.
 */
export function recoverHugePages(state: MmuState, slot: MemorySlot): void {
  // Before 4.1 small leaves stay until something else takes them.
  if (state.profile.era !== "modern") return;
  if (state.tdpMmu) tdpRecoverHugePages(state, slot);
  let flush = false;
  for (let level = 1; level < LARGEST; level++) {
    for (const head of slot.arch.rmap[level - 1]!)
      for (const sptep of pteListEntries(head)) {
        const page = state.pageOf(sptep);
        if (!page.direct || page.level >= maxMappingLevel(state, slot, page.gfn, LARGEST)) continue;
        dropSpte(state, sptep, "recover");
        flush = true;
      }
  }
  if (flush) state.flushRemoteTlbs("huge pages recovered");
}
