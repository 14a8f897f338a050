import { reachPoint } from "../mmu/announce";
import { pointerHi, pointerLo } from "../mmu/pointer";
import type { ShadowPage } from "../mmu/shadow-page";
import type { Sptep } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { changedSpte } from "./changed-spte";
import { compareExchange } from "./exchange";
import { treesOf } from "./pages";

/** Makes an entry point at a page, if it still holds what was read (tdp_mmu_link_sp). */
export function linkPage(
  state: MmuState,
  sptep: Sptep,
  oldLo: number,
  oldHi: number,
  page: ShadowPage,
): boolean {
  const lo = pointerLo(state.format, page);
  const hi = pointerHi(state.format, page);
  reachPoint(state, "P5");
  if (!compareExchange(state, sptep, oldLo, oldHi, lo, hi)) return false;
  treesOf(state).pages.add(page);
  changedSpte(state, { sptep, oldLo, oldHi, lo, hi, shared: true, reason: "large-replace" });
  return true;
}
