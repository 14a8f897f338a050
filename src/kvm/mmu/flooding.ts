import type { Gfn } from "../../x86";
import type { MmuContext } from "./context";
import type { ShadowPage } from "./shadow-page";
import type { MmuState } from "./state";
import type { WriteRun } from "./write-run";

/** Writes in a row after which a table is taken for plain memory. */
const FLOOD = 3;

/** The table of this frame is written so often that it is no table any more; counts the write. */
export function countsAsFlood(
  state: MmuState,
  context: MmuContext,
  frame: Gfn,
): (page: ShadowPage) => boolean {
  if (state.profile.flooding === "page") return isFlooded;
  const flooded = isInARow(state, context.writeRun, frame);
  return () => flooded;
}

/** Level-1 tables go unsync instead. */
const isFlooded = (page: ShadowPage): boolean =>
  page.level > 1 && ++page.writeFloodingCount >= FLOOD;

/** Counts by vCPU, whatever the level; use of the entry written last shows that it is a table after all. */
function isInARow(state: MmuState, run: WriteRun, frame: Gfn): boolean {
  const used = run.updated >= 0 && state.format.isAccessed(state.words[2 * run.updated]!);
  if (run.gfn === frame && !used) return ++run.count >= FLOOD;
  run.gfn = frame;
  run.count = 1;
  run.updated = -1;
  return false;
}
