import type { Entry } from "../../x86";
import type { MmuContext } from "./context";
import { gpteAccess, gpteAddress, gpteBytes, gpteGfn, isPrefetchable } from "./guest-entry";
import { makeSpte, ON_SYNC } from "./make-spte";
import { dropMmioCache, hasCurrentGeneration, markMmioSpte } from "./mmio";
import { dropSpte, slotOf, writeProtectGfn } from "./rmap";
import { ROLE } from "./role";
import { rootPages } from "./root";
import { ENTRIES, type ShadowPage } from "./shadow-page";
import { sptePfn } from "./spte";
import { clearSpte, updateSpte } from "./spte-write";
import type { MmuState } from "./state";
import { clearPath, collectUnsync, unlinkUnsync } from "./unsync";
import { flushOrZap, type InvalidList, prepareZap } from "./zap";

/** Role fields in which a page may differ from the root role and still be synced under it. */
const SYNC_ROLE_IGNORED = ROLE.level | ROLE.access | ROLE.quadrant | ROLE.passthrough;

/** Outcome of a sync: `gone` means it could not be done and the page must be zapped. */
export type SyncOutcome = "same" | "flush" | "gone";

/**
 * Brings one present entry of a level-1 page in line with its gpte (sync_spte). Entries that are
 * empty stay empty: new gptes are not filled in.
 */
export function syncSpte(
  state: MmuState,
  context: MmuContext,
  page: ShadowPage,
  index: number,
  reason: "sync" | "invlpg",
): SyncOutcome {
  const sptep = page.base + index;
  const oldLo = state.words[2 * sptep]!;
  const oldHi = state.words[2 * sptep + 1]!;
  const { format } = state;
  if (format.isEmpty(oldLo, oldHi)) return "same";
  const entry: Entry = state.scratchEntry;
  if (!state.guest.peekEntry(gpteAddress(page, index), gpteBytes(page), entry)) return "gone";
  const { guestRules } = context.mode;
  if (!isPrefetchable(entry, guestRules)) {
    dropSpte(state, sptep, reason);
    return "flush";
  }
  const frame = gpteGfn(entry);
  const access = gpteAccess(guestRules.format, page, entry);
  if (format.isMmio(oldLo, oldHi)) {
    // A stale mark may be for a gfn that has memory by now: it must not get the new generation.
    const keep =
      format.mmioGfn(oldLo, oldHi) === frame && hasCurrentGeneration(state, oldLo, oldHi);
    clearSpte(state, sptep);
    if (keep) markMmioSpte(state, sptep, frame, access);
    return "same";
  }
  // Without any right an EPT entry would be one that is not there.
  const isNothing = access === 0 && guestRules.format.ept;
  if (frame !== page.gfnAt(index) || isNothing) {
    dropSpte(state, sptep, reason);
    return "flush";
  }
  const { syncLeaf } = state.profile;
  if (page.accessAt(index) === access && syncLeaf === "changed") return "same";
  page.recordTranslation(index, frame, access);
  const slot = slotOf(state, page, frame);
  if (!slot) throw new Error(`gfn 0x${frame.toString(16)} is mapped but in no slot`);
  const hostWritable = format.isHostWritable(oldLo, oldHi);
  const pfn = sptePfn(oldLo, oldHi);
  const made = makeSpte(
    state,
    slot,
    page.role,
    access,
    frame,
    pfn,
    oldLo,
    oldHi,
    ON_SYNC,
    hostWritable,
  );
  return updateSpte(state, sptep, made.lo, made.hi) ? "flush" : "same";
}

/** The page was built for a guest mode like the present one, so its gptes can be read by today's rules. */
export function canSync(context: MmuContext, page: ShadowPage): boolean {
  const different = (page.role ^ context.mode.rootRole) & ~SYNC_ROLE_IGNORED;
  return !page.direct && !context.direct && different === 0;
}

/** Syncs all entries of a page. `gone` when its role does not fit this MMU or its table cannot be read. */
function syncEntries(state: MmuState, context: MmuContext, page: ShadowPage): SyncOutcome {
  if (!canSync(context, page)) return "gone";
  let outcome: SyncOutcome = "same";
  for (let i = 0; i < ENTRIES; i++) {
    const one = syncSpte(state, context, page, i, "sync");
    if (one === "gone") return one;
    if (one === "flush") outcome = one;
  }
  const { emptyAfterSync } = state.profile;
  return emptyAfterSync === "zap" && isBare(state, page) ? "gone" : outcome;
}

/** Nothing is left in the page. */
function isBare(state: MmuState, page: ShadowPage): boolean {
  const { words, format } = state;
  for (let word = 2 * page.base; word < 2 * (page.base + ENTRIES); word += 2)
    if (!format.isEmpty(words[word]!, words[word + 1]!)) return false;
  return true;
}

/** Syncs a page, or zaps it where that cannot be. The unsync flag is not touched. */
export function syncPage(
  state: MmuState,
  context: MmuContext,
  page: ShadowPage,
  list: InvalidList,
): SyncOutcome {
  const outcome = syncEntries(state, context, page);
  if (outcome === "gone") prepareZap(state, page, list);
  return outcome;
}

/**
 * Syncs every unsync page below `parent`, a batch at a time: write-protect their tables, flush, then
 * bring the pages in line. Afterwards nothing below is unsync.
 */
export function syncChildren(state: MmuState, context: MmuContext, parent: ShadowPage): void {
  const list: InvalidList = [];
  let flush = false;
  let batch = collectUnsync(state, parent);
  for (; batch.length > 0; batch = collectUnsync(state, parent)) {
    let protectedAny = false;
    for (const { page } of batch) {
      const slot = slotOf(state, page, page.gfn);
      if (slot && writeProtectGfn(state, slot, page.gfn)) protectedAny = true;
    }
    if (protectedAny) {
      flushOrZap(state, list, true, "tables write-protected for sync");
      flush = false;
    }
    for (const leaf of batch) {
      if (!leaf.page.unsync) continue;
      unlinkUnsync(state, leaf.page);
      if (syncPage(state, context, leaf.page, list) === "flush") flush = true;
      clearPath(state, leaf);
    }
  }
  flushOrZap(state, list, flush, "synced");
}

/** Syncs the current root before it is used (kvm_mmu_sync_roots): what MMU_SYNC asks for. */
export function syncRoots(state: MmuState, context: MmuContext): void {
  if (context.direct || context.root.kind === "none") return;
  dropMmioCache(context);
  for (const page of rootPages(context.root))
    if (page.unsync || page.unsyncChildren > 0) syncChildren(state, context, page);
}
