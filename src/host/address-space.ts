import { type Hva, hva, PAGE_SIZE, type Pfn, pagesPerLevel, pfn, type Trace } from "../x86";
import type { HostLevel } from "./backing";
import { FRAME, FrameOwners } from "./frame-owners";
import { HostFile, type HostFileState } from "./host-file";
import { MARK, type Mapping, type MappingState } from "./mapping";
import { MappingList } from "./mapping-list";
import { type HvaRange, Notifiers } from "./notifiers";
import { type HostMemory, ZONE_BASE } from "./physical-memory";
import { Shrinkers } from "./shrinkers";

/** Where guest memory is mapped first. The page at this address has the first frame of zone "guest". */
export const GUEST_HVA = hva(0x7f0000000000);

export interface HostProcessState {
  readonly mappings: readonly MappingState[];
  /** Pages on the swap device, by rising address. */
  readonly swap: readonly (readonly [hva: number, bytes: Uint8Array])[];
  readonly files: readonly HostFileState[];
  /** Flags of frames that have any, by rising number. */
  readonly frameFlags: readonly (readonly [pfn: number, flags: number])[];
  readonly pool: readonly (readonly [hva: number, pfn: number])[];
  readonly shrinkers: readonly number[];
  readonly limit: number;
  readonly hand: number;
}

/**
 * The process's mappings, the page table behind them and who has which frame. Its methods change one
 * entry each and keep the three in step; telling the notifiers is the business of the callers.
 */
export class AddressSpace {
  readonly notifiers = new Notifiers();
  readonly shrinkers = new Shrinkers();
  readonly mappings = new MappingList();
  readonly owners: FrameOwners;
  readonly files = new Map<string, HostFile>();
  /** Contents of swapped pages: never written once they are here, so states may share them. */
  readonly swap = new Map<Hva, Uint8Array>();

  /** Huge pages set aside for hugetlb mappings and not in use, by the address they are for. */
  readonly pool = new Map<Hva, Pfn>();
  /** Frames of all kinds that the host may use at a time; the rest is reclaimed. */
  limit = Number.POSITIVE_INFINITY;
  /** Where reclaim looks next. */
  hand = hva(0);

  constructor(
    readonly memory: HostMemory,
    readonly trace: Trace,
  ) {
    this.owners = new FrameOwners(memory.zones.guest);
  }

  /** Writes an empty entry: `frame` and those after it, at `level`. */
  install(mapping: Mapping, index: number, frame: Pfn, level: HostLevel = 1): void {
    mapping.setEntry(index, frame, level);
    if (!this.isCounted(frame)) return;
    for (let i = 0; i < pagesPerLevel(level); i++)
      this.owners.add(pfn(frame + i), mapping.addressOf(index + i));
  }

  /** Empties the entry at `index`, of whatever size; frames nobody else has are freed. */
  discard(mapping: Mapping, index: number): void {
    const pages = pagesPerLevel(mapping.level(index));
    const dirty = mapping.isMarked(index, MARK.dirty);
    for (let i = index; i < index + pages; i++) {
      const frame = mapping.heldFrame(i);
      mapping.clearEntry(i);
      if (frame === undefined || !this.isCounted(frame)) continue;
      if (dirty && this.owners.isFlagged(frame, FRAME.held)) this.owners.flag(frame, FRAME.dirty);
      if (this.owners.remove(frame, mapping.addressOf(i))) this.free(frame);
    }
  }

  /** Points the entry at other frames, which have the bytes already; its marks stay. */
  remap(mapping: Mapping, index: number, to: Pfn): void {
    const level = mapping.level(index);
    const marks = mapping.marksOf(index);
    this.discard(mapping, index);
    this.install(mapping, index, to, level);
    mapping.mark(index, marks);
  }

  copy(from: Pfn, to: Pfn, pages = 1): void {
    const { bytes } = this.memory;
    const source = this.memory.offsetOf(from);
    bytes.copyWithin(this.memory.offsetOf(to), source, source + pages * PAGE_SIZE);
  }

  /** The page cache has the frame from now on, or no more. */
  hold(frame: Pfn): void {
    this.owners.flag(frame, FRAME.held);
  }
  unhold(frame: Pfn): void {
    this.owners.unflag(frame, FRAME.held);
    if (this.owners.isUnused(frame)) this.free(frame);
  }
  /** The host keeps count of who has the frame: not so for memory of a device. */
  isCounted(frame: Pfn): boolean {
    return this.memory.zones.guest.has(frame);
  }
  private free(frame: Pfn): void {
    if (this.owners.isFlagged(frame, FRAME.poisoned)) return;
    this.owners.unflag(frame, FRAME.merged | FRAME.dirty);
    this.memory.free(frame);
  }

  /** The file and page that a cached frame mapped at this entry belongs to. */
  cachedAt(mapping: Mapping, index: number): { file: HostFile; page: number } | undefined {
    const { backing } = mapping;
    const frame = mapping.frame(index);
    if (backing.kind !== "file" || frame === undefined) return undefined;
    const file = this.files.get(backing.file);
    return file && this.owners.isFlagged(frame, FRAME.held)
      ? { file, page: backing.firstPage + index }
      : undefined;
  }

  /** A zeroed frame for the page at `address`: its home if that is free. */
  allocate(address: Hva): Pfn | undefined {
    return this.memory.allocateAt(homeOf(address)) ?? this.memory.allocateSpare("guest");
  }

  save(): HostProcessState {
    return {
      mappings: this.mappings.all.map((mapping) => mapping.save()),
      swap: [...this.swap].sort(([a], [b]) => a - b),
      files: [...this.files.values()].map((file) => file.save()),
      frameFlags: this.owners.saveFlags(),
      pool: [...this.pool].sort(([a], [b]) => a - b),
      shrinkers: this.shrinkers.save(),
      limit: this.limit,
      hand: this.hand,
    };
  }

  /** The frames' own state is `HostMemory`'s; restore that too. */
  restore(state: HostProcessState): void {
    this.mappings.restore(state.mappings);
    this.swap.clear();
    for (const [at, bytes] of state.swap) this.swap.set(hva(at), bytes);
    this.files.clear();
    for (const file of state.files) this.files.set(file.name, HostFile.restored(file));
    this.owners.clear();
    for (const mapping of this.mappings.all)
      for (let i = 0; i < mapping.pages; i++) {
        const frame = mapping.heldFrame(i);
        if (frame !== undefined && this.isCounted(frame))
          this.owners.add(frame, mapping.addressOf(i));
      }
    for (const [frame, flags] of state.frameFlags) this.owners.flag(pfn(frame), flags);
    this.pool.clear();
    for (const [at, frame] of state.pool) this.pool.set(hva(at), pfn(frame));
    this.shrinkers.restore(state.shrinkers);
    this.limit = state.limit;
    this.hand = hva(state.hand);
  }
}

/** Frame where a page goes when it is free: the k-th page from `GUEST_HVA` in the k-th guest frame. */
export const homeOf = (address: Hva): Pfn =>
  pfn(ZONE_BASE.guest + Math.floor((address - GUEST_HVA) / PAGE_SIZE));

/** The addresses of the entry at `index`. */
export function entryRange(mapping: Mapping, index: number): HvaRange {
  const start = mapping.addressOf(index);
  return { start, end: hva(start + PAGE_SIZE * pagesPerLevel(mapping.level(index))) };
}
