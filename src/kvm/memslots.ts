import type { Gfn, Hva } from "../x86";
import { hva, PAGE_SIZE, pagesPerLevel } from "../x86";
import type { PteList } from "./mmu/pte-list";

/** Flags of a memory region: the first three are the caller's, the last is KVM's own. */
export const SLOT_FLAG = { logDirty: 1, readonly: 2, invalid: 1 << 16 } as const;
/** Flags a caller may give. */
export const USER_SLOT_FLAGS = SLOT_FLAG.logDirty | SLOT_FLAG.readonly;

/** KVM_USER_MEM_SLOTS: ids a caller may use; KVM's own come after them. */
export const USER_SLOTS = 32764;

/** Levels an spte may map: 4K, 2M, 1G. */
export const LEAF_LEVELS = [1, 2, 3] as const;
/** Address spaces of a VM: the normal one, and the one seen in system management mode. */
export const ADDRESS_SPACES = 2;

/** What a slot keeps for each of its frames; shared by the copies of one slot that flags changes make. */
export interface SlotArch {
  /** `rmap[level - 1][i]`: the leaves that map frame `i` of that size. */
  readonly rmap: readonly [PteList[], PteList[], PteList[]];
  /** `lpage[level - 2][i]`: why a large page may not be used here; 0 = it may (`disallow_lpage`). */
  readonly lpage: readonly [Int32Array, Int32Array];
  /** Number of upper-level guest tables (and other trackers) at each 4K frame. */
  readonly writeTrack: Uint16Array;
}

/** Where a slot lies and what may be done with it. */
export interface SlotPlace {
  readonly id: number;
  readonly asId: number;
  readonly baseGfn: Gfn;
  readonly npages: number;
  readonly userspaceAddr: Hva;
  readonly flags: number;
}

/** A range of guest physical memory and the part of the process that stands for it (mmu.rst, api.rst 4.35). */
export class MemorySlot implements SlotPlace {
  readonly id: number;
  readonly asId: number;
  readonly baseGfn: Gfn;
  readonly npages: number;
  readonly userspaceAddr: Hva;
  readonly flags: number;

  constructor(
    place: SlotPlace,
    readonly arch: SlotArch,
    /** One bit a frame, present while the slot logs. */
    readonly dirtyBitmap: Uint32Array | undefined,
  ) {
    this.id = place.id;
    this.asId = place.asId;
    this.baseGfn = place.baseGfn;
    this.npages = place.npages;
    this.userspaceAddr = place.userspaceAddr;
    this.flags = place.flags;
  }

  /** False while the slot is being deleted or moved: nothing new may be mapped through it. */
  get visible(): boolean {
    return (this.flags & SLOT_FLAG.invalid) === 0;
  }
  get readonly(): boolean {
    return (this.flags & SLOT_FLAG.readonly) !== 0;
  }
  get logsDirty(): boolean {
    return (this.flags & SLOT_FLAG.logDirty) !== 0;
  }

  contains(frame: Gfn): boolean {
    return frame >= this.baseGfn && frame < this.baseGfn + this.npages;
  }
  hvaOf(frame: Gfn): Hva {
    return hva(this.userspaceAddr + (frame - this.baseGfn) * PAGE_SIZE);
  }
  /** Index of the frame of `level` that holds `frame`, into `rmap` and `lpage`. */
  indexOf(frame: Gfn, level: number): number {
    const span = pagesPerLevel(level);
    return Math.floor(frame / span) - Math.floor(this.baseGfn / span);
  }
  isDirty(frame: Gfn): boolean {
    const bit = frame - this.baseGfn;
    return (((this.dirtyBitmap?.[bit >> 5] ?? 0) >>> (bit & 31)) & 1) !== 0;
  }
  setDirty(frame: Gfn): void {
    const bit = frame - this.baseGfn;
    if (this.dirtyBitmap) this.dirtyBitmap[bit >> 5]! |= 1 << (bit & 31);
  }
}

/** Frames of a level that a slot touches. */
function framesOfLevel(place: SlotPlace, level: number): number {
  const span = pagesPerLevel(level);
  const last = Math.floor((place.baseGfn + place.npages - 1) / span);
  return last - Math.floor(place.baseGfn / span) + 1;
}

/** The constant part of an lpage count: ragged ends, and memory that is not aligned alike in both spaces. */
export function lpageEdge(place: SlotPlace, level: number, index: number): number {
  const span = pagesPerLevel(level);
  const end = place.baseGfn + place.npages;
  const hostGfn = place.userspaceAddr / PAGE_SIZE;
  if (index === 0 && place.baseGfn % span) return 1;
  if (index === framesOfLevel(place, level) - 1 && end % span) return 1;
  return place.baseGfn % span !== hostGfn % span ? 1 : 0;
}

export function newSlotArch(place: SlotPlace): SlotArch {
  const heads = (level: number): PteList[] =>
    new Array<PteList>(framesOfLevel(place, level)).fill(0);
  const counts = (level: number): Int32Array =>
    Int32Array.from({ length: framesOfLevel(place, level) }, (_, i) => lpageEdge(place, level, i));
  return {
    rmap: [heads(1), heads(2), heads(3)],
    lpage: [counts(2), counts(3)],
    writeTrack: new Uint16Array(place.npages),
  };
}

/** Whole words of 64 pages; bits beyond the slot's end stay 0. */
export function newDirtyBitmap(npages: number, allSet: boolean): Uint32Array {
  const bitmap = new Uint32Array(Math.ceil(npages / 64) * 2);
  if (!allSet) return bitmap;
  bitmap.fill(0xffffffff, 0, npages >>> 5);
  if (npages & 31) bitmap[npages >>> 5] = 2 ** (npages & 31) - 1;
  return bitmap;
}

/** The slots of one address space at one generation. */
export class SlotSet {
  /** Number of updates so far, times the address spaces, plus the address space (mmu.rst, "Fast invalidation"). */
  generation: number;
  /** Between the publishing of a set and the new generation: nothing cached now may be believed. */
  updateInProgress = false;
  private list: readonly MemorySlot[] = [];
  private last: MemorySlot | undefined;

  constructor(readonly asId: number) {
    this.generation = asId;
  }

  /** By base gfn, ascending; no two overlap. */
  get slots(): readonly MemorySlot[] {
    return this.list;
  }
  publish(slots: readonly MemorySlot[]): void {
    this.list = [...slots].sort((a, b) => a.baseGfn - b.baseGfn);
    this.last = undefined;
  }

  /** The slot that holds `frame`, invisible ones included. */
  find(frame: Gfn): MemorySlot | undefined {
    if (this.last?.contains(frame)) return this.last;
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle]!.baseGfn <= frame) low = middle + 1;
      else high = middle;
    }
    const slot = this.list[low - 1];
    if (!slot?.contains(frame)) return undefined;
    this.last = slot;
    return slot;
  }

  byId(id: number): MemorySlot | undefined {
    return this.list.find((slot) => slot.id === id);
  }
}

/** Bit 63 of a slots generation as kernels keep it. */
export const UPDATE_IN_PROGRESS = 1n << 63n;
/** The generation as one 64-bit value. */
export const generationValue = (set: SlotSet): bigint =>
  BigInt(set.generation) | (set.updateInProgress ? UPDATE_IN_PROGRESS : 0n);
