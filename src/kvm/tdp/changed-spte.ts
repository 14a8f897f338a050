import { pfn } from "../../x86";
import { announceDrop, announcePage, type DropReason, reachPoint } from "../mmu/announce";
import { unaccountNxHugePage } from "../mmu/nx-huge-pages";
import { roleSmm } from "../mmu/role";
import { ENTRIES, type ShadowPage } from "../mmu/shadow-page";
import { isLeaf, type Sptep, sptePfn, spteValue } from "../mmu/spte";
import { announceUpdate, transferUse } from "../mmu/spte-write";
import type { MmuState } from "../mmu/state";
import { PAGES_STAT } from "../mmu/stats";
import { exchange } from "./exchange";
import { frozenHi, frozenLo, isFrozen } from "./frozen";
import { retirePage, treesOf } from "./pages";

/** An spte of a tree and how it changed. */
export interface Change {
  readonly sptep: Sptep;
  readonly oldLo: number;
  readonly oldHi: number;
  readonly lo: number;
  readonly hi: number;
  /** mmu_lock is held for read: others may be changing the same tree. */
  readonly shared: boolean;
  readonly reason: DropReason;
}

/**
 * What follows from a change of an spte (handle_changed_spte): counts, news of the page's use for the
 * host, and the end of a page that is no longer pointed at. Every change goes through here.
 */
export function changedSpte(state: MmuState, change: Change): void {
  const { sptep, oldLo, oldHi, lo, hi } = change;
  const { format } = state;
  const page = state.pageOf(sptep);
  const { level } = page;
  const wasPresent = format.isPresent(oldLo, oldHi);
  const present = format.isPresent(lo, hi);
  const wasLeaf = wasPresent && isLeaf(oldLo, level);
  const leaf = present && isLeaf(lo, level);
  const samePfn = sptePfn(oldLo, oldHi) === sptePfn(lo, hi);
  // There is no reverse map to tell who used the old frame: only a notifier may take it, through empty.
  if (wasLeaf && leaf && !samePfn)
    throw new Error("a TDP leaf changed from one host page to another");
  if ((oldLo | 0) === (lo | 0) && (oldHi | 0) === (hi | 0)) return;
  announceChange(state, page, change);
  if (!wasPresent && !present) return;
  if (leaf !== wasLeaf) count(state, level, leaf ? 1 : -1);
  if (wasLeaf) transferUse(state, oldLo, oldHi, lo, hi);
  if (wasPresent && !wasLeaf && (leaf || !present)) removePage(state, oldLo, oldHi, change);
  if (wasPresent && !present) announceDrop(state, sptep, oldLo, oldHi, change.reason);
  else if (wasLeaf && leaf) announceUpdated(state, change);
}

/**
 * The page the old value pointed at is out of the tree, with all below it (handle_removed_pt). Others
 * may still be in it: its entries are frozen, so nobody puts anything there, and it is freed after them.
 */
function removePage(state: MmuState, oldLo: number, oldHi: number, change: Change): void {
  const page = state.pageInFrame(pfn(sptePfn(oldLo, oldHi)));
  if (!page) throw new Error("a TDP spte pointed at no page");
  announcePage(state, "kvm_mmu_prepare_zap_page", page);
  treesOf(state).pages.delete(page);
  if (page.nxHugePageDisallowed) unaccountNxHugePage(state, page);
  page.parentPtes = 0;
  const { words, format, replaced } = state;
  const lo = frozenLo(format);
  const hi = frozenHi(format);
  for (let sptep = page.base; sptep < page.base + ENTRIES; sptep++) {
    // With mmu_lock held for write nothing can appear in an entry that is empty.
    if (!change.shared && !format.isPresent(words[2 * sptep]!, words[2 * sptep + 1]!)) continue;
    exchange(state, sptep, lo, hi);
    const held = { oldLo: replaced.lo, oldHi: replaced.hi };
    if (isFrozen(format, held.oldLo, held.oldHi)) continue;
    changedSpte(state, { ...change, ...held, sptep, lo, hi });
  }
  reachPoint(state, "T1");
  retirePage(state, page);
}

function count(state: MmuState, level: number, by: 1 | -1): void {
  const name = PAGES_STAT[level];
  if (name) state.stats[name] += by;
}

/** The parts of a change that are shown. */
type Shown = Pick<Change, "sptep" | "oldLo" | "oldHi" | "lo" | "hi">;

/**
 * Clears a leaf's mark of use or of writing in place, whatever else changes. Where it told that the page was
 * written and no longer does, the host learns it. The caller flushes.
 */
export function clearMark(state: MmuState, sptep: Sptep, lo: number, hi: number): void {
  const { format, replaced } = state;
  exchange(state, sptep, lo, hi);
  const change = { sptep, oldLo: replaced.lo, oldHi: replaced.hi, lo, hi };
  announceChange(state, state.pageOf(sptep), change);
  announceUpdated(state, change);
  const { oldLo, oldHi } = change;
  if (format.isDirty(oldLo, oldHi) && !format.isDirty(lo, hi))
    state.hostProcess.markUsed(pfn(sptePfn(oldLo, oldHi)), true);
}

function announceUpdated(state: MmuState, { sptep, oldLo, oldHi, lo, hi }: Shown): void {
  announceUpdate(state, sptep, lo, hi, state.format.losesWrite(oldLo, oldHi, lo, hi));
}

function announceChange(state: MmuState, page: ShadowPage, change: Shown): void {
  if (!state.trace.wants("kvm_tdp_mmu_spte_changed")) return;
  state.trace.emit("kvm_tdp_mmu_spte_changed", {
    as_id: roleSmm(page.role),
    gfn: page.gfnAt(change.sptep - page.base),
    level: page.level,
    old_spte: spteValue(change.oldLo, change.oldHi),
    new_spte: spteValue(change.lo, change.hi),
  });
}
