import { hpaOf, type Pfn } from "../../x86";
import type { KvmMmu } from "../mmu/kvm-mmu";
import { roleLevel } from "../mmu/role";
import { PAE_LEVELS } from "../mmu/root";
import { pfnHi, pfnLo } from "../mmu/spte";
import type { MmuState } from "../mmu/state";

/** P, W, U and A: unlike the words of a root of 3 levels, these are read as entries of a longer one. */
export const SPECIAL_ROOT_BITS = 0x27;

/**
 * What the hardware begins with when L1's nested page tables have two or three levels and the host's four
 * or five: `pae_root` as a table of level 3, behind one entry of `pml4_root`, and that behind one of
 * `pml5_root` (mmu_alloc_special_roots). Made when it is first needed.
 */
export function allocateSpecialRoots(state: MmuState, mmu: KvmMmu): void {
  if (mmu.paeRoot !== undefined) return;
  let frame = allocate(state);
  mmu.paeRoot = state.wordOf(frame);
  for (let level = PAE_LEVELS; level < roleLevel(mmu.mode.rootRole); level++) {
    const above = allocate(state);
    const word = 2 * state.wordOf(above);
    state.words[word] = pfnLo(frame) | SPECIAL_ROOT_BITS;
    state.words[word + 1] = pfnHi(frame);
    frame = above;
  }
  mmu.specialRoot = hpaOf(frame);
}

function allocate(state: MmuState): Pfn {
  const frame = state.memory.allocate("low");
  if (frame === undefined) throw new Error("zone low is too small for the roots of a nested guest");
  return frame;
}
