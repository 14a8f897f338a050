import { pointerHi, pointerLo } from "./pointer";
import {
  needsDescriptor,
  pteListAdd,
  pteListCount,
  pteListEntries,
  pteListRemove,
} from "./pte-list";
import { dropSpte } from "./rmap";
import type { ShadowPage } from "./shadow-page";
import { isLeaf, type Sptep } from "./spte";
import { clearSpte, isPresentAt, setSpte } from "./spte-write";
import type { MmuState } from "./state";
import { childOf, markUnsync } from "./unsync";

/**
 * Makes the entry point at `child`. What it held goes: a large leaf out of the rmap, another child
 * without its parent. Marks for sync what the child brings along. `flush`: the child does not
 * translate all that the entry did.
 */
export function linkShadowPage(
  state: MmuState,
  sptep: Sptep,
  child: ShadowPage,
  flush = true,
): void {
  if (isPresentAt(state, sptep)) dropEntry(state, sptep, flush);
  setSpte(state, sptep, pointerLo(state.format, child), pointerHi(state.format, child));
  if (needsDescriptor(child.parentPtes)) state.lock.use("pteListDesc");
  child.parentPtes = pteListAdd(child.parentPtes, sptep);
  announceParent(state, "parent_add", sptep, child);
  if (child.unsync || child.unsyncChildren > 0) markUnsync(state, sptep);
}

function dropEntry(state: MmuState, sptep: Sptep, flush: boolean): void {
  const lo = state.words[2 * sptep]!;
  if (isLeaf(lo, state.pageOf(sptep).level)) dropSpte(state, sptep, "large-replace");
  else unlinkChild(state, childOf(state, lo, state.words[2 * sptep + 1]!), sptep);
  if (flush) state.flushRemoteTlbs("entry replaced by a table");
}

/** Clears an entry that points at `child`. The caller flushes. */
export function unlinkChild(state: MmuState, child: ShadowPage, sptep: Sptep): void {
  child.parentPtes = pteListRemove(child.parentPtes, sptep);
  clearSpte(state, sptep);
  announceParent(state, "parent_remove", sptep, child);
}

/** Clears every entry that points at the page. The caller flushes. */
export function unlinkParents(state: MmuState, page: ShadowPage): void {
  for (const sptep of pteListEntries(page.parentPtes)) unlinkChild(state, page, sptep);
}

function announceParent(
  state: MmuState,
  name: "parent_add" | "parent_remove",
  sptep: Sptep,
  child: ShadowPage,
): void {
  if (!state.trace.wants(name)) return;
  state.trace.emit(name, {
    sp: child.serial,
    gfn: child.gfn,
    sptep: state.hpaOf(sptep),
    count: pteListCount(child.parentPtes),
  });
}
