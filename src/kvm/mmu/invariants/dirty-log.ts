import { type Gfn, gfn, gpaOf, PAGE_SIZE, pagesPerLevel, pfn } from "../../../x86";
import type { MemorySlot } from "../../memslots";
import { WRITABLE } from "../spte";
import type { MmuState } from "../state";
import type { EntryView } from "./entry-view";
import { type EntryInvariant, hex, type VmInvariant } from "./invariant";

/** A write through this leaf would show neither as a fault nor as a D bit that is set. */
function writesSilently(view: EntryView): boolean {
  const { state, lo, hi, page } = view;
  if (!view.leaf || !(lo & WRITABLE)) return false;
  const byHardware = state.pml && page.level === 1 && state.format.logsDirty(hi);
  return !byHardware || state.format.isDirty(lo, hi);
}

/** The frame is in the log, or on its way there. */
function isReported(state: MmuState, slot: MemorySlot, frame: Gfn): boolean {
  const id = (slot.asId << 16) | slot.id;
  return (
    slot.isDirty(frame) ||
    state.contexts.some(
      ({ pml, ring }) => pml?.has(gpaOf(frame)) || ring?.has(id, frame - slot.baseGfn),
    )
  );
}

/** Class D, of an entry. */
export const DIRTY_ENTRY_INVARIANT: EntryInvariant = {
  id: "INV-D-02",
  rule: "a frame that is clean in its log can be written through no leaf without that being seen",
  entry(view) {
    const { slot, state } = view;
    if (!slot?.logsDirty || slot.readonly || !writesSilently(view)) return undefined;
    const span = pagesPerLevel(view.page.level);
    for (let i = 0; i < span; i++) {
      const frame = gfn(view.gfn + i);
      if (slot.contains(frame) && !isReported(state, slot, frame))
        return `${view} can be written, and gfn ${hex(frame)} is clean in the log of slot ${slot.id}`;
    }
    return undefined;
  },
};

/** The same of TLBs. */
export const DIRTY_TLB_INVARIANT: VmInvariant = {
  id: "INV-D-02",
  rule: "no TLB lets a vCPU write to a frame that is clean in its log",
  vm(state) {
    const logging = state.slotSets.some((set) => set.slots.some((slot) => slot.logsDirty));
    if (!logging) return [];
    const bad: string[] = [];
    for (const context of state.contexts)
      for (const entry of context.cpu.tlbEntries?.() ?? []) {
        const frame = entry.writable ? unreportedAt(state, entry.offset) : undefined;
        if (frame !== undefined)
          bad.push(
            `gfn ${hex(frame)} is clean in its log, and writable through the TLB of vCPU ${context.id} at ${hex(entry.va)}`,
          );
      }
    return bad;
  },
};

/**
 * gfn of the frame at this offset, if every slot it is in logs and none has its bit: of a frame in several
 * slots a TLB does not tell which it was reached through.
 */
function unreportedAt(state: MmuState, offset: number): Gfn | undefined {
  const { hostProcess, memory } = state;
  const { guest } = memory.zones;
  const frame = pfn(guest.first + (offset - memory.offsetOf(guest.first)) / PAGE_SIZE);
  let found: Gfn | undefined;
  for (const address of hostProcess.hvasOf(frame))
    for (const set of state.slotSets)
      for (const slot of set.slots) {
        const index = (address - slot.userspaceAddr) / PAGE_SIZE;
        if (index < 0 || index >= slot.npages) continue;
        found = gfn(slot.baseGfn + index);
        if (!slot.logsDirty || isReported(state, slot, found)) return undefined;
      }
  return found;
}
