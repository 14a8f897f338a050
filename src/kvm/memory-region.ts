import { type Gpa, gfnOf, type Hva, PAGE_SIZE } from "../x86";
import {
  generationValue,
  MemorySlot,
  newDirtyBitmap,
  newSlotArch,
  SLOT_FLAG,
  type SlotPlace,
  type SlotSet,
  USER_SLOT_FLAGS,
} from "./memslots";
import { reachPoint } from "./mmu/announce";
import { loggingChanged } from "./mmu/dirty/dirty-log";
import { changeMaxPages } from "./mmu/make-room";
import type { MmuState } from "./mmu/state";
import { invalidateAll } from "./mmu/zap";
import { type Refusal, refuse } from "./refusal";

/** `kvm_userspace_memory_region`: what the caller asks for. */
export interface MemoryRegion {
  /** Slot id in bits 15:0, address space in 31:16. */
  readonly slot: number;
  readonly flags: number;
  readonly guestPhysAddr: Gpa;
  readonly memorySize: number;
  readonly userspaceAddr: Hva;
}

export type RegionChange = "create" | "delete" | "move" | "flags" | "none";
export type RegionOutcome =
  | {
      readonly kind: "done";
      readonly change: RegionChange;
      /** What would serve the guest better, as a sentence. */
      readonly advice?: string;
    }
  | Refusal;

/** Bytes of a 2 MB page. */
const LARGE = 2 ** 21;
/** Largest slot, in pages (KVM_MEM_MAX_NR_PAGES). */
const MAX_PAGES = 2 ** 31 - 1;
/** User addresses of a 4-level host end here. */
const HVA_LIMIT = 2 ** 47;
/** KVM_MIN_ALLOC_MMU_PAGES and the share of guest pages allowed as shadow pages. */
const MIN_MMU_PAGES = 64;
const GUEST_PAGES_PER_MMU_PAGE = 50;
/** Frames kept free for pages that are made before others are freed. */
const SLACK = 32;

/** KVM_SET_USER_MEMORY_REGION (api.rst 4.35): creates, deletes, moves a slot or changes its flags. */
export function setMemoryRegion(state: MmuState, region: MemoryRegion): RegionOutcome {
  const asId = region.slot >>> 16;
  const id = region.slot & 0xffff;
  const { userSlots, addressSpaces } = state.profile;
  if (id >= userSlots || asId >= addressSpaces)
    return refuse(
      "EINVAL",
      `slot ${id} of address space ${asId}: ids go to ${userSlots - 1}, address spaces to ${addressSpaces - 1}`,
    );
  return setInternalRegion(state, region);
}

/** The same for ids that are KVM's own too. */
export function setInternalRegion(state: MmuState, region: MemoryRegion): RegionOutcome {
  const wrong = wrongShape(state, region);
  if (wrong) return wrong;
  const asId = region.slot >>> 16;
  const set = state.slotSets[asId]!;
  const id = region.slot & 0xffff;
  const old = set.byId(id);
  const place: SlotPlace = {
    id,
    asId,
    baseGfn: gfnOf(region.guestPhysAddr),
    npages: region.memorySize / PAGE_SIZE,
    userspaceAddr: region.userspaceAddr,
    flags: region.flags,
  };
  const change = changeOf(place, old);
  if (typeof change !== "string") return change;
  if (change === "create" || change === "move") {
    const other = overlapping(set, place);
    if (other)
      return refuse(
        "EEXIST",
        `slot ${id} at gpa ${hex(region.guestPhysAddr)} overlaps slot ${other.id} at gpa ${hex(other.baseGfn * PAGE_SIZE)}: choose another address`,
      );
  }
  if (change !== "none") apply(state, set, change, place, old);
  const advice = change === "create" || change === "move" ? alignmentAdvice(place) : undefined;
  return { kind: "done", change, ...(advice ? { advice } : {}) };
}

/**
 * api.rst 4.35 recommends that the lower 21 bits of gpa and hva be identical. Without that no page of
 * the slot can be large: a sentence for the person, where it would matter.
 */
export function alignmentAdvice(place: SlotPlace): string | undefined {
  const guest = place.baseGfn * PAGE_SIZE;
  if (place.npages * PAGE_SIZE < LARGE || guest % LARGE === place.userspaceAddr % LARGE)
    return undefined;
  return `slot ${place.id}: gpa ${hex(guest)} and hva ${hex(place.userspaceAddr)} differ in their lower 21 bits, so none of its pages can be large: align both alike`;
}

function wrongShape({ profile, gpaBits }: MmuState, region: MemoryRegion): Refusal | undefined {
  const { slot, flags, guestPhysAddr, memorySize, userspaceAddr } = region;
  const id = slot & 0xffff;
  const said = `slot ${id}`;
  const { slotFlags, kernels } = profile;
  if (flags & ~USER_SLOT_FLAGS)
    return refuse(
      "EINVAL",
      `${said}: unknown flags ${hex(flags & ~USER_SLOT_FLAGS)}; 1 logs dirty pages, 2 is read-only`,
    );
  if (flags & ~slotFlags)
    return refuse(
      "EINVAL",
      `${said}: kernels ${kernels} have no read-only slots; leave out flag 2`,
    );
  if (memorySize % PAGE_SIZE || guestPhysAddr % PAGE_SIZE || userspaceAddr % PAGE_SIZE)
    return refuse(
      "EINVAL",
      `${said}: gpa ${hex(guestPhysAddr)}, size ${hex(memorySize)} and hva ${hex(userspaceAddr)} must be multiples of 0x1000`,
    );
  if (userspaceAddr < 0 || userspaceAddr + memorySize > HVA_LIMIT)
    return refuse(
      "EINVAL",
      `${said}: hva ${hex(userspaceAddr)}, size ${hex(memorySize)} is not all user memory: choose an address below ${hex(HVA_LIMIT)}`,
    );
  if (guestPhysAddr + memorySize > 2 ** gpaBits)
    return refuse(
      "EINVAL",
      `${said}: gpa ${hex(guestPhysAddr)}, size ${hex(memorySize)} goes beyond the ${gpaBits} bits of a guest physical address: choose a lower one`,
    );
  if (memorySize / PAGE_SIZE > MAX_PAGES)
    return refuse(
      "EINVAL",
      `${said}: ${hex(memorySize)} bytes are more than one slot may have; use several`,
    );
  return undefined;
}

function changeOf(place: SlotPlace, old: MemorySlot | undefined): RegionChange | Refusal {
  const said = `slot ${place.id}`;
  if (place.npages === 0)
    return old ? "delete" : refuse("EINVAL", `${said} does not exist, so it cannot be deleted`);
  if (!old) return "create";
  if (place.npages !== old.npages)
    return refuse(
      "EINVAL",
      `${said} has ${old.npages} pages and cannot be resized to ${place.npages}: delete it and create it again`,
    );
  if (place.userspaceAddr !== old.userspaceAddr)
    return refuse(
      "EINVAL",
      `${said} is backed by hva ${hex(old.userspaceAddr)} and cannot change to ${hex(place.userspaceAddr)}: delete it and create it again`,
    );
  if ((place.flags ^ old.flags) & SLOT_FLAG.readonly)
    return refuse(
      "EINVAL",
      `${said} cannot change between read-only and writable: delete it and create it again`,
    );
  if (place.baseGfn !== old.baseGfn) return "move";
  return place.flags !== old.flags ? "flags" : "none";
}

function overlapping(set: SlotSet, place: SlotPlace): MemorySlot | undefined {
  const end = place.baseGfn + place.npages;
  return set.slots.find(
    (s) => s.id !== place.id && s.baseGfn < end && place.baseGfn < s.baseGfn + s.npages,
  );
}

/** The sequence of 3.18: take the old slot out of use, put the new one in. */
function apply(
  state: MmuState,
  set: SlotSet,
  change: RegionChange,
  place: SlotPlace,
  old: MemorySlot | undefined,
): void {
  const others = set.slots.filter((slot) => slot.id !== place.id);
  if (old && (change === "delete" || change === "move")) {
    const invalid = { ...placeOf(old), flags: old.flags | SLOT_FLAG.invalid };
    swap(state, set, [...others, new MemorySlot(invalid, old.arch, old.dirtyBitmap)]);
    reachPoint(state, "M1");
    invalidateAll(state);
    reachPoint(state, "M2");
  }
  if (change === "delete") swap(state, set, others);
  else {
    const arch = old && change === "flags" ? old.arch : newSlotArch(place);
    const slot = new MemorySlot(place, arch, dirtyBitmapFor(state, place, old));
    swap(state, set, [...others, slot]);
    // Marks that do not say under which slots they were made must all go.
    if (change !== "flags" && state.format.marksMmio && !state.format.storesGeneration)
      invalidateAll(state);
    if (change === "flags" && slot.logsDirty !== old?.logsDirty) loggingChanged(state, slot);
  }
  if (change === "create" || change === "delete") changeMaxPages(state, defaultMaxPages(state));
}

function dirtyBitmapFor(
  state: MmuState,
  place: SlotPlace,
  old: MemorySlot | undefined,
): Uint32Array | undefined {
  if (!(place.flags & SLOT_FLAG.logDirty) || state.dirtyLogMode.usesRing) return undefined;
  return old?.dirtyBitmap ?? newDirtyBitmap(place.npages, state.dirtyLogMode.initiallySet);
}

/**
 * Publishes a set of slots. Between publishing and the new generation nothing that is looked up may
 * be cached; when the part of the generation that mmio sptes keep wraps, all of them go.
 */
function swap(state: MmuState, set: SlotSet, slots: readonly MemorySlot[]): void {
  const before = generationValue(set);
  state.slotsChanging = true;
  set.updateInProgress = true;
  set.publish(slots);
  announceGeneration(state, set, before);
  reachPoint(state, "M3");
  const during = generationValue(set);
  const { addressSpaces } = state.profile;
  set.generation += addressSpaces;
  set.updateInProgress = false;
  state.slotsChanging = false;
  const stored = state.format.storedGeneration(set.generation);
  const wraps = stored - (stored % addressSpaces) === 0;
  if (wraps && state.format.storesGeneration) invalidateAll(state);
  announceGeneration(state, set, during);
  reachPoint(state, "M4");
}

function announceGeneration(state: MmuState, set: SlotSet, before: bigint): void {
  if (!state.trace.wants("generation")) return;
  state.trace.emit("generation", {
    as_id: set.asId,
    before,
    after: generationValue(set),
    in_progress: set.updateInProgress,
  });
}

function defaultMaxPages(state: MmuState): number {
  let pages = 0;
  for (const set of state.slotSets) for (const slot of set.slots) pages += slot.npages;
  const wanted = Math.max(MIN_MMU_PAGES, Math.floor(pages / GUEST_PAGES_PER_MMU_PAGE));
  return Math.min(wanted, state.memory.zones.mmu.pages - SLACK);
}

function placeOf(slot: MemorySlot): SlotPlace {
  const { id, asId, baseGfn, npages, userspaceAddr, flags } = slot;
  return { id, asId, baseGfn, npages, userspaceAddr, flags };
}

const hex = (value: number): string => `0x${value.toString(16)}`;
