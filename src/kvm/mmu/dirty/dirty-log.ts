import type { MemorySlot } from "../../memslots";
import { type Refusal, refuse } from "../../refusal";
import { reachPoint } from "../announce";
import type { MmuState } from "../state";
import { syncHardwareLogs } from "./pml";
import { watchMasked, watchSlot } from "./protect";
import { recoverHugePages } from "./recover";
import { splitHugePages } from "./split";

/** Pages a word of a dirty bitmap stands for: ranges begin and end at multiples of it. */
const WORD_PAGES = 64;

/** A slot that was there before begins or ends to log (kvm_mmu_slot_apply_flags). */
export function loggingChanged(state: MmuState, slot: MemorySlot): void {
  // A read-only slot has no writable spte, and none to gain.
  if (slot.readonly) return;
  if (!slot.logsDirty) recoverHugePages(state, slot);
  else if (!state.dirtyLogMode.initiallySet) startLogging(state, slot);
}

/** Every later write must show once. W goes without a flush for each leaf, so TLBs are flushed whatever was found. */
function startLogging(state: MmuState, slot: MemorySlot): void {
  if (state.knobs.eagerPageSplit) splitHugePages(state, slot);
  watchSlot(state, slot);
  state.flushRemoteTlbs("dirty logging turned on");
}

/** The slot of a dirty-log call; bits 31:16 of `slot` are the address space. */
export function loggedSlot(state: MmuState, slot: number): MemorySlot | Refusal {
  if (state.dirtyLogMode.usesRing)
    return refuse(
      "ENXIO",
      "the VM has dirty rings and no dirty bitmaps: collect and reset the rings",
    );
  const set = state.slotSets[slot >>> 16];
  const id = slot & 0xffff;
  const { userSlots, addressSpaces } = state.profile;
  if (!set || id >= userSlots)
    return refuse(
      "EINVAL",
      `slot ${id} of address space ${slot >>> 16} is none of the caller's: ids go to ${userSlots - 1}, address spaces to ${addressSpaces - 1}`,
    );
  const found = set.byId(id);
  if (!found?.dirtyBitmap) return refuse("ENOENT", `slot ${id} keeps no dirty log: set its flag 1`);
  return found;
}

/**
 * KVM_GET_DIRTY_LOG (api.rst 4.8): the bitmap, a bit a page. Unless protection is manual it is cleared
 * as well: each word is taken, its frames are protected again, and TLBs are flushed before the caller
 * sees the bits, so a write that is not in them will be in the next.
 */
export function getDirtyLog(state: MmuState, slot: MemorySlot): Uint32Array {
  syncHardwareLogs(state);
  const bitmap = slot.dirtyBitmap!;
  const taken = bitmap.slice();
  if (state.dirtyLogMode.manual) return taken;
  const take = state.profile.dirtyLogGrain === "slot" ? takeWhole : takeByWord;
  if (take(state, slot, taken)) flushTaken(state, "dirty log taken");
  return taken;
}

/** True when a bit was set. */
function takeByWord(state: MmuState, slot: MemorySlot, taken: Uint32Array): boolean {
  const bitmap = slot.dirtyBitmap!;
  let any = false;
  for (let word = 0; word < bitmap.length; word += 2) {
    const lo = bitmap[word]!;
    const hi = bitmap[word + 1]!;
    if ((lo | hi) === 0) continue;
    any = true;
    bitmap[word] = 0;
    bitmap[word + 1] = 0;
    taken[word] = lo;
    taken[word + 1] = hi;
    protectTaken(state, slot, word, lo, hi);
  }
  return any;
}

/**
 * As in 2010: when a bit is set, a bitmap of zeros is put in the place of the old one, and the slot is
 * protected as a whole.
 */
function takeWhole(state: MmuState, slot: MemorySlot, taken: Uint32Array): boolean {
  const bitmap = slot.dirtyBitmap!;
  if (bitmap.every((word) => word === 0)) return false;
  taken.set(bitmap);
  bitmap.fill(0);
  reachPoint(state, "D1");
  watchSlot(state, slot);
  reachPoint(state, "D2");
  return true;
}

/** What KVM_CLEAR_DIRTY_LOG is given. */
export interface DirtyLogRange {
  /** Slot id in bits 15:0, address space in 31:16. */
  readonly slot: number;
  /** A multiple of 64. */
  readonly firstPage: number;
  /** A multiple of 64, unless the range ends where the slot does. */
  readonly numPages: number;
  /** Bits to clear; bit 0 is `firstPage`. */
  readonly bitmap: Uint32Array;
}

/** KVM_CLEAR_DIRTY_LOG (api.rst 4.117): clears these bits where they are set, and protects their frames again. */
export function clearDirtyLog(
  state: MmuState,
  slot: MemorySlot,
  range: DirtyLogRange,
): Refusal | undefined {
  const wrong = wrongRange(slot, range);
  if (wrong) return wrong;
  syncHardwareLogs(state);
  const bitmap = slot.dirtyBitmap!;
  const words = 2 * Math.ceil(range.numPages / WORD_PAGES);
  const first = range.firstPage / 32;
  let flush = false;
  for (let i = 0; i < words; i += 2) {
    const word = first + i;
    // Only what really was set is protected: bits beyond the slot's end never are.
    const lo = bitmap[word]! & (range.bitmap[i] ?? 0);
    const hi = bitmap[word + 1]! & (range.bitmap[i + 1] ?? 0);
    if ((lo | hi) === 0) continue;
    flush = true;
    bitmap[word]! &= ~lo;
    bitmap[word + 1]! &= ~hi;
    protectTaken(state, slot, word, lo, hi);
  }
  if (flush) flushTaken(state, "dirty log cleared");
  return undefined;
}

function wrongRange(slot: MemorySlot, range: DirtyLogRange): Refusal | undefined {
  const { firstPage, numPages } = range;
  const said = `pages ${firstPage} to ${firstPage + numPages} of slot ${slot.id}`;
  if (firstPage % WORD_PAGES)
    return refuse("EINVAL", `${said}: begin at a multiple of ${WORD_PAGES}`);
  const rest = slot.npages - firstPage;
  if (firstPage < 0 || numPages < 0 || rest < 0 || numPages > rest)
    return refuse("EINVAL", `${said}: the slot has ${slot.npages} pages; stay inside them`);
  if (numPages < rest && numPages % WORD_PAGES)
    return refuse(
      "EINVAL",
      `${said}: clear a multiple of ${WORD_PAGES} pages, or up to the slot's end`,
    );
  return undefined;
}

function protectTaken(
  state: MmuState,
  slot: MemorySlot,
  word: number,
  lo: number,
  hi: number,
): void {
  reachPoint(state, "D1");
  watchMasked(state, slot, 32 * word, lo, hi);
  reachPoint(state, "D2");
}

function flushTaken(state: MmuState, why: string): void {
  state.flushRemoteTlbs(why);
  reachPoint(state, "D3");
}
