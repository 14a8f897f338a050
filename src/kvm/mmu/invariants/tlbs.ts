import { type Gfn, gfn, PAGE_SIZE, type Pfn, pfn } from "../../../x86";
import type { MemorySlot } from "../../memslots";
import { tdpLeavesOf } from "../../tdp/leaves";
import { leavesOf } from "../rmap";
import { type Sptep, WRITABLE } from "../spte";
import { AD_KIND } from "../spte-format";
import type { MmuState } from "../state";
import type { VmInvariant } from "./invariant";
import { hex } from "./invariant";

/** A translation that some vCPU holds, and the host frame it leads to. */
interface Held {
  readonly said: string;
  readonly frame: Pfn;
  readonly writable: boolean;
}

/** Translations to guest memory in all TLBs. */
function held(state: MmuState): Held[] {
  const found: Held[] = [];
  for (const context of state.contexts)
    for (const { va, offset, writable } of context.cpu.tlbEntries?.() ?? []) {
      const frame = frameAt(state, offset);
      const said = `the TLB of vCPU ${context.id} at ${hex(va)}`;
      if (frame !== undefined) found.push({ said, frame, writable });
    }
  return found;
}

/** Host frame at a byte offset of the machine's memory. */
function frameAt(state: MmuState, offset: number): Pfn | undefined {
  const { guest } = state.memory.zones;
  if (offset < guest.offset || offset >= guest.end) return undefined;
  return pfn(guest.first + Math.floor((offset - guest.offset) / PAGE_SIZE));
}

/** Every slot and gfn that a host frame stands behind now. */
function placesOf(state: MmuState, frame: Pfn): { slot: MemorySlot; gfn: Gfn }[] {
  return state.hostProcess.hvasOf(frame).flatMap((address) =>
    state.slotSets.flatMap((set) =>
      set.slots
        .filter((slot) => {
          const offset = address - slot.userspaceAddr;
          return offset >= 0 && offset < slot.npages * PAGE_SIZE;
        })
        .map((slot) => ({
          slot,
          gfn: gfn(slot.baseGfn + Math.floor((address - slot.userspaceAddr) / PAGE_SIZE)),
        })),
    ),
  );
}

/**
 * Writes are allowed, or were until the entry gave its access up to tell whether it is used: ageing
 * flushes nothing. A read gives R and X back, and only a write W; MMU-writable says that it may.
 */
function isWritable({ words, format }: MmuState, sptep: Sptep): boolean {
  const lo = words[2 * sptep]!;
  const hi = words[2 * sptep + 1]!;
  const aged = (hi & AD_KIND.mask) === AD_KIND.disabled && format.isMmuWritable(lo, hi);
  return (lo & WRITABLE) !== 0 || aged;
}

/** Class T: what the TLBs may hold. Those of a vCPU that has yet to flush before its entry are passed over. */
export const TLB_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-T-02",
    rule: "no TLB leads to a frame that was given back, or to one of no slot",
    vm: (state) =>
      held(state)
        .filter(
          ({ frame }) => !state.memory.isAllocated(frame) || placesOf(state, frame).length === 0,
        )
        .map(({ said, frame }) => `${said} leads to frame ${hex(frame)}, which is not the guest's`),
  },
  {
    id: "INV-T-02",
    rule: "a frame that a TLB leads to is mapped by an spte, so that whoever takes the frame flushes",
    vm: (state) =>
      held(state)
        .filter(({ frame }) => leavesTo(state, frame).length === 0)
        .map(({ said, frame }) => `${said} leads to frame ${hex(frame)}, no spte does`),
  },
  {
    id: "INV-T-03",
    rule: "a frame that a TLB lets be written has a writable spte",
    vm: (state) =>
      held(state)
        .filter(({ writable, frame }) => writable && !hasWritableLeaf(state, frame))
        .map(({ said, frame }) => `${said} lets frame ${hex(frame)} be written, no spte does`),
  },
];

const leavesTo = (state: MmuState, frame: Pfn): Sptep[] =>
  placesOf(state, frame).flatMap(({ slot, gfn: at }) => [
    ...leavesOf(slot, at),
    ...tdpLeavesOf(state, slot.asId, at),
  ]);

const hasWritableLeaf = (state: MmuState, frame: Pfn): boolean =>
  leavesTo(state, frame).some((sptep) => isWritable(state, sptep));
