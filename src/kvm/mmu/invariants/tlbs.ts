import { type Gfn, gfn, PAGE_SIZE, type Pfn, pfn } from "../../../x86";
import type { MemorySlot } from "../../memslots";
import { tdpLeavesOf } from "../../tdp/leaves";
import { leavesOf } from "../rmap";
import { type Sptep, WRITABLE } from "../spte";
import { AD_KIND } from "../spte-format";
import type { MmuState } from "../state";
import type { VmInvariant } from "./invariant";
import { hex } from "./invariant";

/** A translation that some vCPU holds. */
interface Held {
  readonly vcpu: number;
  readonly va: bigint;
  readonly writable: boolean;
}

/** Translations to guest memory in all TLBs, by the host frame they lead to: many may lead to one. */
function heldByFrame(state: MmuState): ReadonlyMap<Pfn, readonly Held[]> {
  const frames = new Map<Pfn, Held[]>();
  for (const { id: vcpu, cpu } of state.contexts)
    for (const { va, offset, writable } of cpu.tlbEntries?.() ?? []) {
      const frame = frameAt(state, offset);
      if (frame === undefined) continue;
      const list = frames.get(frame);
      if (list) list.push({ vcpu, va, writable });
      else frames.set(frame, [{ vcpu, va, writable }]);
    }
  return frames;
}

/** What is said of each translation to a frame that `isWrong`. */
function wronglyHeld(
  state: MmuState,
  isWrong: (frame: Pfn) => boolean,
  says: (frame: string) => string,
  counts: (one: Held) => boolean = () => true,
): string[] {
  return [...heldByFrame(state)].flatMap(([frame, list]) => {
    const some = list.filter(counts);
    if (some.length === 0 || !isWrong(frame)) return [];
    return some.map(
      ({ vcpu, va }) => `the TLB of vCPU ${vcpu} at ${hex(va)} ${says(`frame ${hex(frame)}`)}`,
    );
  });
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
      wronglyHeld(
        state,
        (frame) => !state.memory.isAllocated(frame) || placesOf(state, frame).length === 0,
        (frame) => `leads to ${frame}, which is not the guest's`,
      ),
  },
  {
    id: "INV-T-02",
    rule: "a frame that a TLB leads to is mapped by an spte, so that whoever takes the frame flushes",
    vm: (state) =>
      wronglyHeld(
        state,
        (frame) => leavesTo(state, frame).length === 0,
        (frame) => `leads to ${frame}, no spte does`,
      ),
  },
  {
    id: "INV-T-03",
    rule: "a frame that a TLB lets be written has a writable spte",
    vm: (state) =>
      wronglyHeld(
        state,
        (frame) => !hasWritableLeaf(state, frame),
        (frame) => `lets ${frame} be written, no spte does`,
        ({ writable }) => writable,
      ),
  },
];

const leavesTo = (state: MmuState, frame: Pfn): Sptep[] =>
  placesOf(state, frame).flatMap(({ slot, gfn: at }) => [
    ...leavesOf(slot, at),
    ...tdpLeavesOf(state, slot.asId, at),
  ]);

const hasWritableLeaf = (state: MmuState, frame: Pfn): boolean =>
  leavesTo(state, frame).some((sptep) => isWritable(state, sptep));
