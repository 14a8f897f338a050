import type { Gfn } from "../../x86";
import type { MemorySlot } from "../memslots";
import { LEAF_LEVELS } from "../memslots";
import { tdpWriteProtectGfn } from "../tdp/write-protect";
import type { DropReason } from "./announce";
import {
  needsDescriptor,
  type PteList,
  pteListAdd,
  pteListCount,
  pteListEntries,
  pteListKind,
  pteListRemove,
} from "./pte-list";
import { roleSmm } from "./role";
import type { ShadowPage } from "./shadow-page";
import type { Sptep } from "./spte";
import { clearLeaf, clearSpte, writeProtectSpte } from "./spte-write";
import type { MmuState } from "./state";
import { PAGES_STAT } from "./stats";

/** RMAP_RECYCLE_THRESHOLD: with more entries than this already there, adding one zaps the chain. */
const RECYCLE_THRESHOLD = 1000;

/** The rmap word of the frame of `level` that holds `frame`. */
export const rmapHead = (slot: MemorySlot, frame: Gfn, level: number): PteList =>
  slot.arch.rmap[level - 1]?.[slot.indexOf(frame, level)] ?? 0;

function setRmapHead(slot: MemorySlot, frame: Gfn, level: number, head: PteList): void {
  slot.arch.rmap[level - 1]![slot.indexOf(frame, level)] = head;
}

/** The slot set a page's gfns are looked up in. */
export const slotOf = (state: MmuState, page: ShadowPage, frame: Gfn): MemorySlot | undefined =>
  state.slotSets[roleSmm(page.role)]?.find(frame);

/** Enters a new present leaf. A chain that had grown beyond 1000 is zapped, the new leaf included. */
export function rmapAdd(
  state: MmuState,
  slot: MemorySlot,
  sptep: Sptep,
  frame: Gfn,
  access: number,
): void {
  const page = state.pageOf(sptep);
  const { level } = page;
  page.recordTranslation(sptep - page.base, frame, access);
  if (state.profile.slotBitmap) page.slotBitmap |= 1 << slot.id;
  const before = rmapHead(slot, frame, level);
  const count = pteListCount(before);
  if (needsDescriptor(before)) state.lock.use("pteListDesc");
  const head = pteListAdd(before, sptep);
  setRmapHead(slot, frame, level, head);
  countLeaf(state, level, 1);
  announceRmap(state, "rmap_add", sptep, frame, level, head);
  if (count > state.stats.max_mmu_rmap_size) state.stats.max_mmu_rmap_size = count;
  if (count > RECYCLE_THRESHOLD) {
    zapRmap(state, slot, frame, level, "recycle");
    state.stats.mmu_recycled++;
    state.flushRemoteTlbs("rmap chain recycled");
  }
}

/** Empties any entry but a pointer to a page: a present leaf leaves the rmap, an mmio mark just goes. */
export function dropSpte(state: MmuState, sptep: Sptep, reason: DropReason): void {
  const lo = state.words[2 * sptep]!;
  const hi = state.words[2 * sptep + 1]!;
  if (!state.format.isPresent(lo, hi)) {
    if (state.format.isMmio(lo, hi)) clearSpte(state, sptep);
    return;
  }
  const page = state.pageOf(sptep);
  const frame = page.gfnAt(sptep - page.base);
  clearLeaf(state, sptep, reason);
  rmapRemove(state, page, sptep, frame);
}

function rmapRemove(state: MmuState, page: ShadowPage, sptep: Sptep, frame: Gfn): void {
  const { level } = page;
  const slot = slotOf(state, page, frame);
  if (!slot) throw new Error(`rmap: gfn 0x${frame.toString(16)} is mapped but in no slot`);
  const head = pteListRemove(rmapHead(slot, frame, level), sptep);
  setRmapHead(slot, frame, level, head);
  countLeaf(state, level, -1);
  announceRmap(state, "rmap_remove", sptep, frame, level, head);
}

/** Drops every leaf of this level that maps the frame. True when there was one. */
export function zapRmap(
  state: MmuState,
  slot: MemorySlot,
  frame: Gfn,
  level: number,
  reason: DropReason,
): boolean {
  const entries = pteListEntries(rmapHead(slot, frame, level));
  for (const sptep of entries) dropSpte(state, sptep, reason);
  return entries.length > 0;
}

/** Every leaf that maps this 4K frame, at all levels. */
export function leavesOf(slot: MemorySlot, frame: Gfn): readonly Sptep[] {
  return LEAF_LEVELS.flatMap((level) => pteListEntries(rmapHead(slot, frame, level)));
}

/**
 * Takes W and MMU-writable from every leaf that maps the frame, at all levels: it becomes a guest
 * table whose writes must be seen. True when TLBs must be flushed.
 */
export function writeProtectGfn(state: MmuState, slot: MemorySlot, frame: Gfn): boolean {
  let flush = false;
  for (const level of LEAF_LEVELS) {
    const head = rmapHead(slot, frame, level);
    if (head === 0) continue;
    if (level > 1 && state.profile.largeOverTable === "drop") {
      flush = zapRmap(state, slot, frame, level, "large-replace") || flush;
      continue;
    }
    if (typeof head === "number") flush = writeProtectSpte(state, head, true) || flush;
    else for (const sptep of head) flush = writeProtectSpte(state, sptep, true) || flush;
  }
  if (state.tdpMmu && tdpWriteProtectGfn(state, slot, frame)) flush = true;
  return flush;
}

function countLeaf(state: MmuState, level: number, by: 1 | -1): void {
  const name = PAGES_STAT[level];
  if (name) state.stats[name] += by;
}

function announceRmap(
  state: MmuState,
  name: "rmap_add" | "rmap_remove",
  sptep: Sptep,
  frame: Gfn,
  level: number,
  head: PteList,
): void {
  if (!state.trace.wants(name)) return;
  state.trace.emit(name, {
    gfn: frame,
    level,
    sptep: state.hpaOf(sptep),
    kind: pteListKind(head),
    count: pteListCount(head),
  });
}
