import type { Gfn } from "../../x86";
import { reachPoint } from "../mmu/announce";
import type { ShadowPage } from "../mmu/shadow-page";
import type { MmuState } from "../mmu/state";
import { TdpIterator } from "./iterator";
import { treesOf } from "./pages";

/** What part of a tree is gone through: entries of `minLevel` and above over the frames [start, end). */
export interface Range {
  readonly start: Gfn;
  readonly end: Gfn;
  readonly minLevel: number;
}

/** Looks at one entry or changes it. True when TLBs must be flushed for it, before mmu_lock is dropped. */
export type Visit = (iter: TdpIterator) => boolean;

/**
 * Goes through part of a tree in a lockless section, under mmu_lock; drops both for others who want the
 * lock (`needResched`), having flushed what it owes. True when a flush is owed at the end.
 */
export function visitRange(
  state: MmuState,
  root: ShadowPage,
  { start, end, minLevel }: Range,
  visit: Visit,
): boolean {
  const trees = treesOf(state);
  let reader = state.grace.enter();
  let flush = false;
  const iter = new TdpIterator(state, root, minLevel, start);
  while (iter.valid && iter.gfn < end) {
    if (iter.progressed && trees.needResched()) {
      if (flush) state.flushRemoteTlbs("before mmu_lock is dropped");
      flush = false;
      state.grace.leave(reader);
      reachPoint(state, "T2");
      reader = state.grace.enter();
      iter.restart();
      continue;
    }
    if (visit(iter)) flush = true;
    iter.advance();
  }
  state.grace.leave(reader);
  return flush;
}
