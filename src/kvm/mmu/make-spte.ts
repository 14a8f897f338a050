import type { Gfn } from "../../x86";
import { ACC } from "../../x86";
import type { MemorySlot } from "../memslots";
import { HI, isLeaf, isPresent, LO, pfnHi, pfnLo } from "./spte";
import type { MadeSpte, MmuState } from "./state";
import { tryToUnsync } from "./unsync";

/** How a leaf is being made. */
export interface SpteIntent {
  /** Nobody asked for the page yet: its A bit stays clear and nothing is unsynced for it. */
  readonly prefetch: boolean;
  /** A synced page is being brought in line: its frame may not become writable through it. */
  readonly synchronizing: boolean;
}

export const ON_FAULT: SpteIntent = { prefetch: false, synchronizing: false };
export const ON_PREFETCH: SpteIntent = { prefetch: true, synchronizing: false };
export const ON_SYNC: SpteIntent = { prefetch: true, synchronizing: true };

/**
 * The leaf that maps `frame` to host frame `pfn` with `access`. `oldLo` is the entry's present value:
 * what is writable already needs no second look at the shadowed tables.
 */
export function makeSpte(
  state: MmuState,
  slot: MemorySlot,
  level: number,
  access: number,
  frame: Gfn,
  pfn: number,
  oldLo: number,
  intent: SpteIntent,
  hostWritable: boolean,
): MadeSpte {
  const { made } = state;
  let lo = LO.mmuPresent | LO.present;
  if (!intent.prefetch || intent.synchronizing) lo |= LO.accessed;
  if (access & ACC.user) lo |= LO.user;
  if (level > 1) lo |= LO.large;
  if (hostWritable) lo |= LO.hostWritable;
  made.writeProtected = false;
  if (access & ACC.write && hostWritable) {
    const wasWritable = isPresent(oldLo) && isLeaf(oldLo, level) && (oldLo & LO.writable) !== 0;
    if (wasWritable || tryToUnsync(state, slot, frame, intent.synchronizing, intent.prefetch)) {
      lo |= LO.writable | LO.mmuWritable | LO.dirty;
      state.markDirty(slot, frame, "writable spte");
    } else made.writeProtected = true;
  }
  made.lo = lo | pfnLo(pfn);
  made.hi = pfnHi(pfn) | (access & ACC.exec ? 0 : HI.nx);
  return made;
}
