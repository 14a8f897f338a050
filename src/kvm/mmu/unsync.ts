import { type Gfn, pfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import { announcePage } from "./announce";
import { pteListEntries } from "./pte-list";
import type { ShadowPage } from "./shadow-page";
import { type Sptep, sptePfn } from "./spte";
import type { MmuState } from "./state";
import { isWriteTracked } from "./write-track";

/** Entry `index` of `page` leads to an unsync page: marks it and, where that is news, its parents. */
export function markUnsync(state: MmuState, sptep: Sptep): void {
  const page = state.pageOf(sptep);
  const index = sptep - page.base;
  if (page.hasUnsyncBit(index)) return;
  page.addUnsyncBit(index);
  announceCount(state, page, index, page.unsyncChildren - 1);
  if (page.unsyncChildren === 1) markParentsUnsync(state, page);
}

function markParentsUnsync(state: MmuState, page: ShadowPage): void {
  for (const sptep of pteListEntries(page.parentPtes)) markUnsync(state, sptep);
}

/** Clears the mark of entry `index`, which no longer leads to an unsync page. */
function clearUnsyncBit(state: MmuState, page: ShadowPage, index: number): void {
  page.removeUnsyncBit(index);
  announceCount(state, page, index, page.unsyncChildren + 1);
}

function announceCount(state: MmuState, page: ShadowPage, index: number, before: number): void {
  if (!state.trace.wants("unsync_count")) return;
  state.trace.emit("unsync_count", {
    sp: page.serial,
    spt: page.spt,
    gfn: page.gfn,
    index,
    before,
    after: page.unsyncChildren,
  });
}

/**
 * May the frame become writable? Not when it holds an upper-level table, and not without unsyncing
 * the level-1 pages that shadow it, which is done here unless `synchronizing` (their sync is under
 * way) or `prefetch` (nobody writes yet) forbids it. Unsync is set before W becomes visible.
 */
export function tryToUnsync(
  state: MmuState,
  slot: MemorySlot,
  frame: Gfn,
  synchronizing: boolean,
  prefetch: boolean,
): boolean {
  if (isWriteTracked(slot, frame)) return false;
  for (const page of state.hash.bucket(frame)) {
    if (page.gfn !== frame || !page.hasGptes || state.isObsolete(page)) continue;
    if (synchronizing) return false;
    if (page.unsync) continue;
    if (prefetch) return false;
    unsyncPage(state, page);
  }
  return true;
}

function unsyncPage(state: MmuState, page: ShadowPage): void {
  if (page.level !== 1) throw new Error(`page of level ${page.level} cannot go unsync`);
  announcePage(state, "kvm_mmu_unsync_page", page);
  state.stats.mmu_unsync++;
  page.unsync = true;
  markParentsUnsync(state, page);
}

/** The page is no longer unsync: it was synced, or it is being zapped. */
export function unlinkUnsync(state: MmuState, page: ShadowPage): void {
  announcePage(state, "kvm_mmu_sync_page", page);
  page.unsync = false;
  state.stats.mmu_unsync--;
}

/** One step of the path down to an unsync page. */
interface Step {
  readonly page: ShadowPage;
  readonly index: number;
}

/** An unsync page and how it was reached from the page the search began at. */
export interface UnsyncLeaf {
  readonly page: ShadowPage;
  /** From the top down; the last step's entry points at `page`. */
  readonly path: readonly Step[];
}

/** Unsync pages collected in one batch (KVM_PAGE_ARRAY_NR). */
const BATCH = 16;

/**
 * The next batch of unsync pages below `top`, depth first over the marked entries. Marks that turn
 * out stale are cleared. Empty when the subtree is in sync.
 */
export function collectUnsync(state: MmuState, top: ShadowPage): readonly UnsyncLeaf[] {
  const found: UnsyncLeaf[] = [];
  if (top.unsyncChildren > 0) search(state, top, [], found);
  return found;
}

/** True when something unsync is below; false once the page's marks are all clear. */
function search(
  state: MmuState,
  page: ShadowPage,
  path: readonly Step[],
  found: UnsyncLeaf[],
): boolean {
  let any = false;
  for (let i = page.nextUnsyncBit(0); i >= 0; i = page.nextUnsyncBit(i + 1)) {
    if (found.length === BATCH) return true;
    const child = childAt(state, page.base + i);
    const here = [...path, { page, index: i }];
    const dirty = child !== undefined && child.unsyncChildren > 0;
    if (dirty && search(state, child, here, found)) any = true;
    else if (child?.unsync) {
      any = true;
      if (!found.some((leaf) => leaf.page === child)) found.push({ page: child, path: here });
    } else clearUnsyncBit(state, page, i);
  }
  return any;
}

/** The shadow page an entry points at, if it points at one. */
export function childAt(state: MmuState, sptep: Sptep): ShadowPage | undefined {
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  return state.format.isTable(lo, hi, state.pageOf(sptep).level)
    ? childOf(state, lo, hi)
    : undefined;
}

/** The shadow page a present non-leaf value points at. */
export function childOf(state: MmuState, lo: number, hi: number): ShadowPage {
  const frame = sptePfn(lo, hi);
  const page = state.pageInFrame(pfn(frame));
  if (!page) throw new Error(`an spte points at frame 0x${frame.toString(16)}: no shadow page`);
  return page;
}

/** After `leaf.page` is in sync: clears the marks on its path as far up as counts fall to 0. */
export function clearPath(state: MmuState, leaf: UnsyncLeaf): void {
  for (let i = leaf.path.length - 1; i >= 0; i--) {
    const { page, index } = leaf.path[i]!;
    if (page.hasUnsyncBit(index)) clearUnsyncBit(state, page, index);
    if (page.unsyncChildren > 0) return;
  }
}
