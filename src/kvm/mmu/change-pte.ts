import type { Gfn, Pfn } from "../../x86";
import { LEAF_LEVELS, type MemorySlot } from "../memslots";
import { pteListEntries } from "./pte-list";
import { dropSpte, rmapHead } from "./rmap";
import { LARGE, PFN_HI, pfnHi, pfnLo, type Sptep, WRITABLE } from "./spte";
import { replaceLeaf } from "./spte-write";
import type { MmuState } from "./state";

/** Bits 31:12 of an entry: the low part of its pfn. */
const PFN_LO = ~0xfff;

/**
 * The host has put another page behind the frame, or taken write access to it (kvm_set_spte_hva, until
 * 6.9). What the host may not write stays mapped, read-only, to the new page; for a writable one the
 * next fault makes the leaf anew. True when TLBs must be flushed.
 */
export function changePte(
  state: MmuState,
  slot: MemorySlot,
  frame: Gfn,
  pfn: Pfn,
  writable: boolean,
): boolean {
  let flush = false;
  for (const level of LEAF_LEVELS)
    for (const sptep of pteListEntries(rmapHead(slot, frame, level))) {
      // A large leaf spans more than the one page that changes.
      if (writable || state.words[2 * sptep]! & LARGE) dropSpte(state, sptep, "notifier");
      else pointAt(state, sptep, pfn);
      flush = true;
    }
  return flush;
}

function pointAt(state: MmuState, sptep: Sptep, pfn: Pfn): void {
  const { format, words } = state;
  const taken = WRITABLE | format.hostWritableLo | format.mmuWritableLo;
  const lo = words[2 * sptep]! & ~(PFN_LO | taken | format.accessed | format.dirty);
  const hi = words[2 * sptep + 1]! & ~(PFN_HI | format.hostWritableHi | format.mmuWritableHi);
  replaceLeaf(state, sptep, lo | pfnLo(pfn), hi | pfnHi(pfn));
}
