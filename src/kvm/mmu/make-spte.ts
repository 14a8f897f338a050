import type { Gfn } from "../../x86";
import { ACC } from "../../x86";
import type { MemorySlot } from "../memslots";
import { ROLE, type RoleWord, roleLevel } from "./role";
import { isLeaf, LARGE, pfnHi, pfnLo, WRITABLE } from "./spte";
import { AD_KIND } from "./spte-format";
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
 * How the A and D bits of this page's entries are used: PML would log ngpas of an L2, so that its writes
 * are watched by W, and its leaves have D set as long as they have W (kvm_mmu_page_ad_need_write_protect).
 */
export function adKind(state: MmuState, role: RoleWord): number {
  if (role & ROLE.adDisabled) return AD_KIND.disabled;
  return state.pml && role & ROLE.guestMode ? AD_KIND.wrprotOnly : AD_KIND.enabled;
}

/**
 * The leaf that maps `frame` to host frame `pfn` with `access`. `oldLo` and `oldHi` are the
 * entry's present value: what is writable already needs no second look at the shadowed tables.
 */
export function makeSpte(
  state: MmuState,
  slot: MemorySlot,
  role: RoleWord,
  access: number,
  frame: Gfn,
  pfn: number,
  oldLo: number,
  oldHi: number,
  intent: SpteIntent,
  hostWritable: boolean,
): MadeSpte {
  const { made, format } = state;
  let lo = format.leafLo | format.ramType;
  const level = roleLevel(role);
  const adOff = (role & ROLE.adDisabled) !== 0;
  let hi = format.leafHi | adKind(state, role);
  if (!intent.prefetch || (intent.synchronizing && state.profile.syncLeaf === "changed"))
    lo |= format.accessed;
  if (access & ACC.user) lo |= format.user;
  const exec = access & ACC.exec && !(level > 1 && state.knobs.nxHugePages);
  if (exec) lo |= format.exec;
  else hi |= format.nx;
  if (level > 1) lo |= LARGE;
  if (hostWritable) {
    lo |= format.hostWritableLo;
    hi |= format.hostWritableHi;
  }
  made.writeProtected = false;
  if (access & ACC.write && hostWritable) {
    const wasWritable =
      format.isPresent(oldLo, oldHi) && isLeaf(oldLo, level) && (oldLo & WRITABLE) !== 0;
    if (wasWritable || tryToUnsync(state, slot, frame, intent.synchronizing, intent.prefetch)) {
      lo |= format.mmuWritableLo;
      hi |= format.mmuWritableHi;
      if (format.setsDirty) lo |= format.dirty;
      // A sync may find more of them than a dirty ring has room for: their writes will fault instead.
      const later = intent.synchronizing && slot.logsDirty && state.dirtyLogMode.usesRing;
      if (!later) {
        lo |= WRITABLE;
        state.markDirty(slot, frame, "writable spte");
      }
    } else made.writeProtected = true;
  }
  const untouched = adOff && intent.prefetch && !intent.synchronizing;
  made.lo = (untouched ? format.trackedLo(lo) : lo) | pfnLo(pfn);
  made.hi = (untouched ? format.trackedHi(lo, hi) : hi) | pfnHi(pfn);
  return made;
}
