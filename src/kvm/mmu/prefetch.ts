import type { Gfn } from "../../x86";
import { ACC } from "../../x86";
import type { MmuContext } from "./context";
import { gpteAccess, gpteAddress, gpteBytes, gpteGfn, isPrefetchable } from "./guest-entry";
import { ON_PREFETCH } from "./make-spte";
import { slotOf } from "./rmap";
import { ROLE, roleAccess } from "./role";
import { mmuSetSpte } from "./set-spte";
import type { ShadowPage } from "./shadow-page";
import type { Sptep } from "./spte";
import { isPresentAt } from "./spte-write";
import type { MmuState } from "./state";

/** PTE_PREFETCH_NUM: entries of the aligned window around the one that faulted. */
const WINDOW = 8;

/**
 * Maps neighbours of a leaf just set whose host pages are resident (FNAME(pte_prefetch)): a guest
 * that touches one page mostly touches the next. Never unsyncs, never sets A, stops at the first
 * entry that does not lend itself.
 */
export function prefetchAround(state: MmuState, context: MmuContext, sptep: Sptep): void {
  const page = state.pageOf(sptep);
  if (page.level > 1) return;
  // Without A bits nobody could tell what was used from what was not.
  if (page.direct && page.role & ROLE.adDisabled) return;
  const { guestRules } = context.mode;
  const entry = state.scratchEntry;
  const index = sptep - page.base;
  const first = index - (index % WINDOW);
  for (let i = first; i < first + WINDOW; i++) {
    if (i === index || isPresentAt(state, page.base + i)) continue;
    let frame: Gfn;
    let access: number;
    if (page.direct) {
      frame = page.gfnAt(i);
      access = roleAccess(page.role);
    } else {
      if (!state.guest.peekEntry(gpteAddress(page, i), gpteBytes(page), entry)) return;
      if (!isPrefetchable(entry, guestRules)) return;
      frame = gpteGfn(entry);
      access = gpteAccess(guestRules.format, page, entry);
    }
    if (!prefetchOne(state, context, page, i, frame, access)) return;
  }
}

/**
 * Makes one entry of a level-1 page anew from its gpte, if the guest uses that already: what kernels
 * before 2021 did after a write to the table and after INVLPG (FNAME(update_pte)).
 */
export function recreateSpte(
  state: MmuState,
  context: MmuContext,
  page: ShadowPage,
  index: number,
): void {
  const entry = state.scratchEntry;
  if (!state.guest.peekEntry(gpteAddress(page, index), gpteBytes(page), entry)) return;
  const { guestRules } = context.mode;
  if (!isPrefetchable(entry, guestRules)) return;
  const access = gpteAccess(guestRules.format, page, entry);
  prefetchOne(state, context, page, index, gpteGfn(entry), access);
}

/**
 * False when there is no writable resident host page, when it may be going just now (INV-N-01), or
 * when the slot logs and would miss the write.
 */
function prefetchOne(
  state: MmuState,
  context: MmuContext,
  page: ShadowPage,
  index: number,
  frame: Gfn,
  access: number,
): boolean {
  if (state.notifier.inProgress > 0) return false;
  const slot = slotOf(state, page, frame);
  if (!slot?.visible || slot.readonly || (access & ACC.write && slot.logsDirty)) return false;
  const at = slot.hvaOf(frame);
  const pfn = state.hostProcess.translate(at);
  if (pfn === undefined || !state.hostProcess.isWritable(at)) return false;
  const target = { slot, gfn: frame, pfn, access, hostWritable: true, write: false };
  mmuSetSpte(state, context, page.base + index, target, ON_PREFETCH);
  context.writeRun.updated = page.base + index;
  return true;
}
