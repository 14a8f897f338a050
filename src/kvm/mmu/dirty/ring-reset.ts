import { reachPoint } from "../announce";
import type { MmuState } from "../state";
import { watchMasked } from "./protect";
import type { DirtyRing } from "./ring";

/** Frames whose protection is one operation. */
const MASK_BITS = 64;
const HALF = 0xffffffffn;

/**
 * KVM_RESET_DIRTY_RINGS (api.rst 4.132): what userspace has collected from the rings is taken back, the
 * frames are protected again, and TLBs are flushed before the call returns. The number of entries.
 */
export function resetDirtyRings(state: MmuState): number {
  let cleared = 0;
  for (const { ring } of state.contexts) if (ring) cleared += resetRing(state, ring);
  if (cleared > 0) {
    state.flushRemoteTlbs("dirty rings reset");
    reachPoint(state, "D3");
  }
  return cleared;
}

/** Neighbours within 64 pages that follow each other in the ring are protected together. */
function resetRing(state: MmuState, ring: DirtyRing): number {
  let count = 0;
  let slot = -1;
  let offset = 0;
  let mask = 0n;
  for (let entry = ring.takeCollected(); entry; entry = ring.takeCollected()) {
    count++;
    const delta = entry.offset - offset;
    if (slot === entry.slot && delta >= 0 && delta < MASK_BITS) {
      mask |= 1n << BigInt(delta);
      continue;
    }
    if (slot === entry.slot && delta < 0 && delta > -MASK_BITS) {
      const wider = mask << BigInt(-delta);
      if (wider >> BigInt(MASK_BITS) === 0n) {
        offset = entry.offset;
        mask = wider | 1n;
        continue;
      }
    }
    protect(state, slot, offset, mask);
    slot = entry.slot;
    offset = entry.offset;
    mask = 1n;
  }
  protect(state, slot, offset, mask);
  if (state.trace.wants("kvm_dirty_ring_reset"))
    state.trace.emit("kvm_dirty_ring_reset", {
      index: ring.index,
      dirty_index: ring.dirtyIndex,
      reset_index: ring.resetIndex,
      used: ring.used,
    });
  return count;
}

/** Nothing is done for a slot that has gone or become shorter since. */
function protect(state: MmuState, slot: number, offset: number, mask: bigint): void {
  if (mask === 0n) return;
  const found = state.slotSets[slot >>> 16]?.byId(slot & 0xffff);
  const last = offset + mask.toString(2).length - 1;
  if (!found || last >= found.npages) return;
  reachPoint(state, "D1");
  watchMasked(state, found, offset, Number(mask & HALF), Number(mask >> 32n));
  reachPoint(state, "D2");
}
