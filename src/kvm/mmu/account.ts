import type { MemorySlot } from "../memslots";
import { allowLpage, disallowLpage } from "./lpage";
import { slotOf, writeProtectGfn } from "./rmap";
import type { ShadowPage } from "./shadow-page";
import type { MmuState } from "./state";
import { trackWrites, untrackWrites } from "./write-track";

/**
 * A page with gptes begins to stand for its guest table: from now on writes to the table are seen.
 * Upper levels are tracked for good, level 1 is write-protected until it goes unsync.
 */
export function accountShadowed(state: MmuState, page: ShadowPage): void {
  const slot = tableSlot(state, page);
  state.indirectShadowPages++;
  let flush: boolean;
  if (page.level > 1) flush = trackWrites(state, slot, page.gfn);
  else {
    disallowLpage(state, slot, page.gfn);
    flush = writeProtectGfn(state, slot, page.gfn);
  }
  if (flush) state.flushRemoteTlbs("guest table write-protected");
}

/** The page no longer stands for its guest table. */
export function unaccountShadowed(state: MmuState, page: ShadowPage): void {
  const slot = tableSlot(state, page);
  state.indirectShadowPages--;
  if (page.level > 1) untrackWrites(state, slot, page.gfn);
  else allowLpage(state, slot, page.gfn);
}

/** Invalid slots count: pages of a slot are zapped after its invalid copy is published. */
function tableSlot(state: MmuState, page: ShadowPage): MemorySlot {
  const slot = slotOf(state, page, page.gfn);
  if (!slot) throw new Error(`guest table at gfn 0x${page.gfn.toString(16)} is in no slot`);
  return slot;
}
