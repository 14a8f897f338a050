import { PFEC } from "../../x86";
import type { MmuContext } from "./context";
import { dropMmioCache, entryOf, topPage } from "./mmio";
import { recreateSpte } from "./prefetch";
import type { Root } from "./root";
import type { ShadowPage } from "./shadow-page";
import type { Sptep } from "./spte";
import type { MmuState } from "./state";
import { canSync, syncSpte } from "./sync";
import { childAt } from "./unsync";
import { isNonCanonical } from "./walk-guest";
import { zapEntry } from "./zap";

/** INVLPG (mmu.rst, "Guest invlpg"): the entry for `va` is brought in line, in every root the vCPU keeps. */
export function invlpg(state: MmuState, context: MmuContext, va: bigint): void {
  context.stats.invlpg++;
  if (isNonCanonical(context, va)) return;
  state.flushTlbPage(context, va, "invlpg");
  if (context.direct) {
    dropMmioCache(context);
    return;
  }
  invalidateAddress(state, context, va, context.root);
  for (const root of context.prevRoots) invalidateAddress(state, context, va, root);
}

/**
 * Hardware forgets a translation whose use has faulted (SDM 3A 4.10.4.1): one that was present is
 * invalidated before the guest gets its fault. Under nested paging `va` is an ngpa, which no TLB knows.
 */
export function forgetFaulted(
  state: MmuState,
  context: MmuContext,
  va: bigint,
  error: number,
): void {
  if (!wasPresent(error)) return;
  if (!context.isNested) state.flushTlbPage(context, va, "used and faulted");
  invalidateAddress(state, context, va, context.root);
}

/** The same for an address of L2's own tables, of which there are no shadows. */
export function forgetFaultedInL2(
  state: MmuState,
  context: MmuContext,
  va: bigint,
  error: number,
): void {
  if (wasPresent(error)) state.flushTlbPage(context, va, "used and faulted");
}

const wasPresent = (error: number): boolean =>
  (error & PFEC.present) !== 0 && (error & PFEC.reserved) === 0;

/** Brings the entry for `va` in line where its page is unsync, and forgets it as mmio. */
export function invalidateAddress(
  state: MmuState,
  context: MmuContext,
  va: bigint,
  root: Root,
): void {
  dropMmioCache(context, va);
  if (context.direct) return;
  let page = topPage(root, va);
  while (page) {
    const sptep = entryOf(page, va);
    if (page.unsync) {
      if (renew(state, context, page, sptep)) state.flushRemoteTlbs("invlpg");
    }
    if (page.unsyncChildren === 0) return;
    page = childAt(state, sptep);
  }
}

/** Brings an entry of an unsync page in line with its gpte. True when TLBs must be flushed. */
function renew(state: MmuState, context: MmuContext, page: ShadowPage, sptep: Sptep): boolean {
  const index = sptep - page.base;
  const fits = canSync(context, page);
  if (state.profile.invlpg === "recreate") {
    const dropped = zapEntry(state, page, sptep, "invlpg");
    if (fits) recreateSpte(state, context, page, index);
    return dropped;
  }
  const outcome = fits ? syncSpte(state, context, page, index, "invlpg") : "gone";
  if (outcome === "gone") zapEntry(state, page, sptep, "invlpg");
  return outcome !== "same";
}
