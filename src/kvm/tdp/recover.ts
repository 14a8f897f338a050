import { gfn, pagesPerLevel } from "../../x86";
import type { MemorySlot } from "../memslots";
import { maxMappingLevel } from "../mmu/level";
import type { ShadowPage } from "../mmu/shadow-page";
import { LARGE, pfnHi, pfnLo, sptePfn } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { TdpIterator } from "./iterator";
import { visitRoots } from "./roots";
import { setTdpSpteShared } from "./set-spte";
import { ATTRIBUTES } from "./split";
import { visitRange } from "./visit";

/** Largest level a leaf can have. */
const LARGEST = 3;

/**
 * The slot no longer logs (kvm_tdp_mmu_recover_huge_pages): a table of small leaves whose range the host
 * maps with one page is replaced by a large leaf at once. TLBs are flushed.
 */
export function tdpRecoverHugePages(state: MmuState, slot: MemorySlot): void {
  const start = slot.baseGfn;
  const end = gfn(start + slot.npages);
  visitRoots(state, slot.asId, "valid", (root) => {
    const flush = visitRange(state, root, { start, end, minLevel: 2 }, (iter) => {
      while (isReplaceable(state, slot, iter)) {
        const large = largeSpte(state, root, iter);
        if (!large) return false;
        if (setTdpSpteShared(state, iter, large.lo, large.hi, "recover")) return true;
      }
      return false;
    });
    if (flush) state.flushRemoteTlbs("huge pages recovered");
    return false;
  });
}

/** The entry points at a table that lies in the slot and in one host page of its size. */
function isReplaceable(state: MmuState, slot: MemorySlot, iter: TdpIterator): boolean {
  if (iter.level > LARGEST || !iter.table || !slot.contains(iter.gfn)) return false;
  return maxMappingLevel(state, slot, iter.gfn, iter.level) >= iter.level;
}

/** The leaf that maps all that the first present leaf below maps a part of; none where nothing is mapped. */
function largeSpte(
  state: MmuState,
  root: ShadowPage,
  { gfn: first, level }: TdpIterator,
): { readonly lo: number; readonly hi: number } | undefined {
  const span = pagesPerLevel(level);
  const below = new TdpIterator(state, root, 1, first);
  while (!below.leaf) {
    below.advance();
    if (!below.valid || below.gfn >= first + span) return undefined;
  }
  const small = sptePfn(below.lo, below.hi);
  const pfn = small - (small % span);
  const executable = !state.knobs.nxHugePages;
  const lo = executable ? below.lo : below.lo & ~state.format.exec;
  const hi = executable ? below.hi : below.hi | state.format.nx;
  return { lo: (lo & 0xfff) | LARGE | pfnLo(pfn), hi: (hi & ATTRIBUTES) | pfnHi(pfn) };
}
