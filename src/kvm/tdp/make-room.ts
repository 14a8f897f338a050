import type { MmuContext } from "../mmu/context";
import type { MmuState } from "../mmu/state";
import { treesOf } from "./pages";
import { invalidateTdpRoots } from "./roots";
import { zapInvalidatedRoots } from "./zap";

/** Tables that one new leaf may need: with fewer in use than that, to empty the trees gains nothing. */
const WORTHWHILE = 5;

/**
 * The zone of the host that tables come from is used up. Kernels go on taking pages from the host, of
 * which there is no more to give here: the trees are begun anew, and vCPUs fault in what they still use.
 * False when that would gain nothing.
 */
export function makeTdpRoom(state: MmuState): boolean {
  if (treesOf(state).linkedPages < WORTHWHILE) return false;
  invalidateTdpRoots(state);
  state.requestAll("freeObsoleteRoots");
  zapInvalidatedRoots(state);
  return true;
}

/** Why a vCPU cannot go on without a frame for its tables. */
export const noFrameText = (context: MmuContext): string =>
  `the host has no frame left for the tables of vCPU ${context.id}: give the machine more host memory`;
