import { type Gfn, gfn } from "../../x86";
import type { MmuContext } from "./context";
import type { Fault } from "./fault-state";
import { readLockless } from "./halves";
import { RET, type Ret } from "./result";
import type { Root } from "./root";
import { ENTRIES, type ShadowPage } from "./shadow-page";
import { type Sptep, spteValue } from "./spte";
import { setSpte } from "./spte-write";
import type { MmuState } from "./state";
import { childOf } from "./unsync";

/** The access bits an mmio spte keeps: W and U. */
const MMIO_ACCESS = 6;

const slotsOf = (state: MmuState) => state.slotSets[0]!;

/** Remembers that the faulting page is mmio, unless the slots are just being changed (F-145). */
export function cacheMmio(
  state: MmuState,
  context: MmuContext,
  fault: Fault,
  access: number,
): void {
  const slots = slotsOf(state);
  if (slots.updateInProgress || !state.profile.mmioCache) return;
  context.mmioCache = {
    // An ngpa is neither a gva nor a gpa: under nested paging nothing matches.
    gva: context.direct || context.isNested ? undefined : fault.address & ~0xfffn,
    gfn: fault.gfn,
    access: access & MMIO_ACCESS,
    generation: slots.generation,
  };
}

/** Forgets the cached mmio page; all of it, or only when it is the page of `gva`. */
export function dropMmioCache(context: MmuContext, gva?: bigint): void {
  if (gva === undefined || context.mmioCache?.gva === (gva & ~0xfffn))
    context.mmioCache = undefined;
}

/** Puts the mmio mark into an entry: the hardware reports RSVD there, and no walk is needed again. */
export function markMmioSpte(state: MmuState, sptep: Sptep, frame: Gfn, access: number): void {
  const { format } = state;
  const generation = format.storedGeneration(slotsOf(state).generation);
  const lo = format.mmioLo(frame, access, generation);
  const hi = format.mmioHi(frame, generation);
  announceMmioMark(state, sptep, frame, lo, hi);
  setSpte(state, sptep, lo, hi);
}

export function announceMmioMark(
  state: MmuState,
  sptep: Sptep,
  frame: Gfn,
  lo: number,
  hi: number,
): void {
  if (!state.trace.wants("mark_mmio_spte")) return;
  state.trace.emit("mark_mmio_spte", {
    sptep: state.hpaOf(sptep),
    gfn: frame,
    access: lo & 7,
    gen: state.format.mmioGeneration(lo, hi),
  });
}

/**
 * A fault with RSVD set, which only mmio entries cause (mmu.rst, "mmio"): by the vCPU's cache or by
 * the entry itself the access is known to be mmio, unless the slots have changed since.
 */
export function handleMmioFault(state: MmuState, context: MmuContext, fault: Fault): Ret {
  if (cacheMatches(state, context, fault.address)) return RET.emulate;
  const reader = state.grace.enter();
  const ret = checkMark(state, context, fault);
  state.grace.leave(reader);
  return ret;
}

/** By the entry itself, found without mmu_lock. */
function checkMark(state: MmuState, context: MmuContext, fault: Fault): Ret {
  if (lastSpte(state, context, fault.address) < 0) return RET.retry;
  const { lo, hi } = state.seen;
  // Somebody zapped it since the hardware looked.
  if (!state.format.isMmio(lo, hi)) return RET.retry;
  if (!isCurrentMmio(state, lo, hi)) return RET.invalid;
  const frame = gfn(state.format.mmioGfn(lo, hi));
  const access = state.format.mmioAccess(lo);
  if (state.trace.wants("handle_mmio_page_fault"))
    state.trace.emit("handle_mmio_page_fault", { addr: fault.address, gfn: frame, access });
  fault.gfn = frame;
  cacheMmio(state, context, fault, access);
  return RET.emulate;
}

/** The vCPU's cache says that this address is mmio, and was filled under the present slots. */
export function cacheMatches(state: MmuState, context: MmuContext, address: bigint): boolean {
  const cache = context.mmioCache;
  const slots = slotsOf(state);
  if (!cache || slots.updateInProgress || cache.generation !== slots.generation) return false;
  return context.direct ? BigInt(cache.gfn) === address >> 12n : cache.gva === (address & ~0xfffn);
}

/** The mark was made under the present slots. */
export function hasCurrentGeneration(state: MmuState, lo: number, hi: number): boolean {
  const { updateInProgress, generation } = slotsOf(state);
  const { format } = state;
  return !updateInProgress && format.mmioGeneration(lo, hi) === format.storedGeneration(generation);
}

function isCurrentMmio(state: MmuState, lo: number, hi: number): boolean {
  const slots = slotsOf(state);
  if (slots.updateInProgress) return false;
  const current = state.format.storedGeneration(slots.generation);
  const generation = state.format.mmioGeneration(lo, hi);
  if (!state.format.storesGeneration) return true;
  if (state.trace.wants("check_mmio_spte"))
    state.trace.emit("check_mmio_spte", {
      spte: spteValue(lo, hi),
      kvm_gen: current,
      spte_gen: generation,
      valid: current === generation,
    });
  return current === generation;
}

/**
 * The last entry on the way to `address` in the current root, found without mmu_lock, its value in
 * `state.seen`; -1 without a root.
 */
export function lastSpte(state: MmuState, context: MmuContext, address: bigint): Sptep {
  let page = topPage(context.root, address);
  if (!page) return -1;
  for (;;) {
    const sptep = entryOf(page, address);
    readLockless(state, sptep);
    const { lo, hi } = state.seen;
    if (!state.format.isTable(lo, hi, page.level)) return sptep;
    page = childOf(state, lo, hi);
  }
}

/** The page a walk of `address` starts in: the root, or the one of the PAE entry. */
export function topPage(root: Root, address: bigint): ShadowPage | undefined {
  if (root.kind === "page") return root.page;
  return root.kind === "pae" ? root.pages[Number((address >> 30n) & 3n)] : undefined;
}

/** The entry of `page` that translates `address`. */
export const entryOf = (page: ShadowPage, address: bigint): Sptep =>
  page.base + indexOf(address, page.level);

/** Index into a table of 8-byte entries at this level. On the path of every fault: no bigint arithmetic. */
export function indexOf(address: bigint, level: number): number {
  whole[0] = address;
  const shift = 3 + 9 * level;
  const lo = halves[0]!;
  const hi = halves[1]!;
  const bits = shift < 32 ? (lo >>> shift) | (hi << (32 - shift)) : hi >>> (shift - 32);
  return bits & (ENTRIES - 1);
}

/** One address as one value and as two halves of it: splitting a bigint by shifts costs ten times more. */
const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);
