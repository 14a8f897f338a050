import { type Gpa, gfnOf, gpa, pageOffset } from "../../x86";
import type { MmuContext } from "./context";
import { countsAsFlood } from "./flooding";
import { gpteBytes } from "./guest-entry";
import { recreateSpte } from "./prefetch";
import { ROLE, roleLevel, roleQuadrant } from "./role";
import { ENTRIES, type ShadowPage } from "./shadow-page";
import type { MmuState } from "./state";
import { canSync } from "./sync";
import { flushOrZap, type InvalidList, prepareZap, zapEntry } from "./zap";

/**
 * Brings shadow pages in line after an emulated store of `bytes` at `at`, the memory already written
 * (kvm_mmu_track_write): the entries it touched are emptied, and rebuilt
 * only by older kernels.
 */
export function trackWrite(state: MmuState, context: MmuContext, at: Gpa, bytes: number): void {
  if (state.indirectShadowPages === 0) return;
  const wide = (context.mode.cpuRole.base & ROLE.has4ByteGpte) === 0 && !context.direct;
  // A guest with 8-byte entries that stores one half has changed the whole entry.
  const start = wide && bytes === 4 ? gpa(at - (at % 8)) : at;
  const length = wide && bytes === 4 ? 8 : bytes;
  const written = entryIsNonZero(state, start, length);
  const recreates = state.profile.gpteWrite === "recreate";
  state.stats.mmu_pte_write++;
  if (state.trace.wants("gpte_write")) announceWrite(state, at, bytes);
  const list: InvalidList = [];
  let flush = false;
  const frame = gfnOf(at);
  const isFlooded = countsAsFlood(state, context, frame);
  for (const page of [...state.hash.bucket(frame)]) {
    if (page.gfn !== frame || !page.hasGptes || state.isObsolete(page)) continue;
    if (isMisaligned(page, start, length) || isFlooded(page)) {
      prepareZap(state, page, list);
      state.stats.mmu_flooded++;
      continue;
    }
    const { first, count } = entriesWritten(page, start);
    for (let i = first; i < first + count; i++) {
      if (zapEntry(state, page, page.base + i, "gpte-write")) flush = true;
      if (written && page.level > 1) state.stats.mmu_pde_zapped++;
      if (written && page.level === 1 && recreates && canSync(context, page))
        recreateSpte(state, context, page, i);
    }
  }
  flushOrZap(state, list, flush, "gpte written");
}

/** Announced once a store, and only where a guest table is shadowed. */
function announceWrite(state: MmuState, at: Gpa, bytes: number): void {
  const gfn = gfnOf(at);
  const isTable = state.hash.bucket(gfn).some((page) => page.gfn === gfn && page.hasGptes);
  if (isTable) state.trace.emit("gpte_write", { gpa: at, gfn, bytes });
}

function entryIsNonZero(state: MmuState, at: Gpa, bytes: number): boolean {
  const entry = state.scratchEntry;
  if (bytes !== 4 && bytes !== 8) return false;
  return state.guest.peekEntry(at, bytes, entry) && (entry.lo !== 0 || entry.hi !== 0);
}

/** The store cannot be one of an entry: it crosses entries, or is too small. Single bytes at their start pass. */
function isMisaligned(page: ShadowPage, at: Gpa, bytes: number): boolean {
  const size = gpteBytes(page);
  const offset = pageOffset(at);
  if (offset % size === 0 && bytes === 1) return false;
  const crosses = Math.floor(offset / size) !== Math.floor((offset + bytes - 1) / size);
  return crosses || bytes < 4;
}

/** The sptes that stand for the entry at `at`: two for a 4-byte directory entry, none in another quadrant. */
function entriesWritten(page: ShadowPage, at: Gpa): { first: number; count: number } {
  const offset = pageOffset(at);
  if (!(page.role & ROLE.has4ByteGpte)) return { first: Math.floor(offset / 8), count: 1 };
  const upper = roleLevel(page.role) > 1;
  const index = Math.floor(offset / 4) * (upper ? 2 : 1);
  const quadrant = Math.floor(index / ENTRIES);
  if (quadrant !== roleQuadrant(page.role)) return { first: 0, count: 0 };
  return { first: index % ENTRIES, count: upper ? 2 : 1 };
}
