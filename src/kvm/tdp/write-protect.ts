import { type Gfn, gfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import type { ShadowPage } from "../mmu/shadow-page";
import { WRITABLE } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { visitRoots } from "./roots";
import { setTdpSpte } from "./set-spte";
import { visitRange } from "./visit";

/**
 * The frame becomes a guest table whose writes must be seen: W and MMU-writable go from every leaf that
 * maps it (kvm_tdp_mmu_write_protect_gfn). True when TLBs must be flushed.
 */
export const tdpWriteProtectGfn = (
  state: MmuState,
  slot: MemorySlot,
  frame: Gfn,
  minLevel = 1,
): boolean =>
  visitRoots(state, slot.asId, "valid", (root) => writeProtectGfn(state, root, frame, minLevel));

function writeProtectGfn(state: MmuState, root: ShadowPage, frame: Gfn, minLevel: number): boolean {
  const { mmuWritableLo, mmuWritableHi } = state.format;
  const range = { start: frame, end: gfn(frame + 1), minLevel };
  return visitRange(state, root, range, ({ leaf, sptep, lo, hi }) => {
    if (!leaf) return false;
    const newLo = lo & ~(WRITABLE | mmuWritableLo);
    const newHi = hi & ~mmuWritableHi;
    if (newLo === (lo | 0) && newHi === (hi | 0)) return false;
    setTdpSpte(state, sptep, newLo, newHi);
    return true;
  });
}
