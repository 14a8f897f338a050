import { type Hva, hva, PAGE_SIZE, type Pfn, type Trace } from "../x86";
import { AddressSpace, type HostProcessState } from "./address-space";
import type { Backing, HostLevel } from "./backing";
import { breakSharing } from "./break-sharing";
import { checkHost } from "./check";
import { contentsOf } from "./contents";
import { HostFile } from "./host-file";
import { reserveHuge } from "./huge-pool";
import { MARK, Mapping } from "./mapping";
import { countPages, type MemoryReport, type PageCounts, reportMemory } from "./memory-report";
import type { HvaRange, Notifiers } from "./notifiers";
import type { FaultInFailure } from "./page-cache";
import type { HostMemory } from "./physical-memory";
import { populate } from "./populate";
import { keepLimit, reclaim } from "./reclaim";
import { at, hex, type Refused, refused } from "./refusal";
import type { Shrinkers } from "./shrinkers";
import { truncateFile } from "./truncate";
import { discardRange, protectRange, unmapRange, whyNotCuttable } from "./unmap";
import { whyNotMappable, wrongRange } from "./valid-mapping";

/**
 * What came of making a page resident. `read-only`: a write to a mapping without write permission.
 * `writable` is what the page table allows now: also of a page that could be written after a copy, no.
 */
export type FaultIn =
  | { readonly kind: "page"; readonly pfn: Pfn; readonly writable: boolean }
  | { readonly kind: "no-mapping" | "read-only" | FaultInFailure };

/** What the host's page table says about one page; `pfn` is absent when the page is not resident. */
export interface HostPage {
  readonly hva: Hva;
  readonly pfn: Pfn | undefined;
  /** Size of the entry; 1 when there is none. */
  readonly level: HostLevel;
  readonly writable: boolean;
  readonly accessed: boolean;
  readonly dirty: boolean;
  readonly swapped: boolean;
  readonly poisoned: boolean;
  /** Pages of the process that lie in the frame, this one among them. */
  readonly sharers: number;
}

const NO_MAPPING: FaultIn = { kind: "no-mapping" };
const READ_ONLY: FaultIn = { kind: "read-only" };

/**
 * The process a virtual machine belongs to: its address space (hva) and the page table behind it
 * (hva → pfn). Pages appear on demand; every change of a present entry is announced to the notifiers.
 */
export class HostProcess {
  readonly space: AddressSpace;
  /** Answer of `faultIn`, which is on the path of every fault and so allocates nothing. */
  private readonly found: { kind: "page"; pfn: Pfn; writable: boolean };

  constructor(
    readonly memory: HostMemory,
    trace: Trace,
  ) {
    this.space = new AddressSpace(memory, trace);
    this.found = { kind: "page", pfn: memory.zones.guest.first, writable: false };
  }

  get notifiers(): Notifiers {
    return this.space.notifiers;
  }
  /** By rising address. */
  get mappings(): readonly Mapping[] {
    return this.space.mappings.all;
  }
  mappingAt(address: Hva): Mapping | undefined {
    return this.space.mappings.at(address);
  }

  mmap(start: Hva, size: number, backing: Backing): { readonly kind: "mapped" } | Refused {
    const other = this.space.mappings.firstIn(start, hva(start + size));
    const why = wrongRange(start, size) ?? whyNotMappable(this.space, start, size, backing);
    if (why) return refused(why);
    if (other)
      return refused(
        `${at(start)} is already mapped by the area at ${hex(other.start)}: unmap it first`,
      );
    return this.place({ start, end: hva(start + size) }, backing, false);
  }
  /** Also where something is mapped: that goes in the same step (MAP_FIXED). */
  mmapOver(start: Hva, size: number, backing: Backing): { readonly kind: "mapped" } | Refused {
    const range = { start, end: hva(start + size) };
    const why =
      wrongRange(start, size) ??
      whyNotMappable(this.space, start, size, backing) ??
      whyNotCuttable(this.space, range);
    return why ? refused(why) : this.place(range, backing, true);
  }

  /** Unmaps what there is in the range, as munmap does; holes in it are no error. */
  munmap(start: Hva, size: number): { readonly kind: "unmapped" } | Refused {
    const range = { start, end: hva(start + size) };
    const why = wrongRange(start, size) ?? whyNotCuttable(this.space, range);
    if (why) return refused(why);
    unmapRange(this.space, range);
    return { kind: "unmapped" };
  }

  /** Lets go of what the range holds; it stays mapped (MADV_DONTNEED). */
  discard(start: Hva, size: number): { readonly kind: "done" } | Refused {
    return this.changeRange(start, size, (range) => discardRange(this.space, range));
  }
  /** Gives or takes write permission (mprotect). */
  protect(start: Hva, size: number, writable: boolean): { readonly kind: "done" } | Refused {
    return this.changeRange(start, size, (range) => protectRange(this.space, range, writable));
  }

  /** A file whose bytes are these, up to its size in pages with zeros after them. */
  createFile(name: string, pages: number, bytes = new Uint8Array(0)): Refused | undefined {
    if (this.space.files.has(name))
      return refused(`the host has a file "${name}" already: choose another name`);
    const file = new HostFile(name, pages);
    for (let page = 0; page * PAGE_SIZE < bytes.length; page++) {
      const content = new Uint8Array(PAGE_SIZE);
      content.set(bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE));
      file.write(page, content);
    }
    this.space.files.set(name, file);
    return undefined;
  }

  /** Cuts a file, or makes it longer with zeros (ftruncate). */
  resizeFile(name: string, pages: number): Refused | undefined {
    const file = this.space.files.get(name);
    if (!file) return refused(`the host has no file "${name}": create it first`);
    truncateFile(this.space, file, pages);
    return undefined;
  }

  /**
   * Makes the page resident, as an access by this process would: a write brings a copy of a page that
   * others see. The answer is good until the next call.
   */
  faultIn(address: Hva, write: boolean): FaultIn {
    const { space, found } = this;
    const mapping = space.mappings.at(address);
    if (!mapping) return NO_MAPPING;
    const { writable } = mapping.backing;
    if (write && !writable) return READ_ONLY;
    const index = mapping.indexOf(address);
    let failure: FaultInFailure | undefined;
    if (mapping.frame(index) === undefined) failure = populate(space, mapping, index, write);
    const entry = mapping.entry(index);
    if (write && !failure && mapping.isMarked(entry, MARK.protected))
      failure = breakSharing(space, mapping, entry);
    const frame = mapping.frame(index);
    if (failure || frame === undefined) return { kind: failure ?? "out-of-memory" };
    mapping.mark(entry, write ? MARK.accessed | MARK.dirty : MARK.accessed);
    found.pfn = frame;
    found.writable = writable && !mapping.isMarked(entry, MARK.protected);
    return found;
  }

  /** The frame behind an address if the page is resident. Changes nothing. */
  translate(address: Hva): Pfn | undefined {
    const mapping = this.space.mappings.at(address);
    return mapping?.frame(mapping.indexOf(address));
  }

  /** The page table lets this process write to the resident page. Changes nothing. */
  isWritable(address: Hva): boolean {
    const mapping = this.space.mappings.at(address);
    if (!mapping?.backing.writable) return false;
    const index = mapping.indexOf(address);
    if (mapping.frame(index) === undefined) return false;
    return !mapping.isMarked(mapping.entry(index), MARK.protected);
  }

  /** Size of the entry that maps this address: 1 also when none does. */
  mappingLevel(address: Hva): HostLevel {
    const mapping = this.space.mappings.at(address);
    return mapping?.level(mapping.indexOf(address)) ?? 1;
  }

  /** What the page table says; undefined where nothing is mapped. Changes nothing. */
  page(address: Hva): HostPage | undefined {
    const mapping = this.mappingAt(address);
    if (!mapping) return undefined;
    const index = mapping.indexOf(address);
    const entry = mapping.entry(index);
    const frame = mapping.frame(index);
    return {
      hva: mapping.addressOf(index),
      pfn: frame,
      level: mapping.level(index),
      writable: mapping.backing.writable && !mapping.isMarked(entry, MARK.protected),
      accessed: mapping.isMarked(entry, MARK.accessed),
      dirty: mapping.isMarked(entry, MARK.dirty),
      swapped: mapping.isMarked(index, MARK.swapped),
      poisoned: mapping.isPoisoned(index),
      sharers: frame === undefined ? 0 : this.space.owners.count(frame),
    };
  }

  /**
   * What a read of the page would see, wherever it is: in a frame (live bytes), on the swap device, in a
   * file, or nowhere yet (zeros). Undefined where a read would fail. Changes nothing.
   */
  contents(address: Hva): Uint8Array | undefined {
    return contentsOf(this.space, address);
  }

  /** Lowest page of this process that lies in a frame. */
  hvaOf(frame: Pfn): Hva | undefined {
    return this.space.owners.one(frame);
  }
  /** All of them, rising. */
  hvasOf(frame: Pfn): readonly Hva[] {
    return this.space.owners.all(frame);
  }

  /** Use that was seen elsewhere (A and D bits of an spte that was dropped) comes home. */
  markUsed(frame: Pfn, dirty: boolean): void {
    const { owners } = this.space;
    const first = owners.one(frame);
    if (first === undefined) return;
    const marks = dirty ? MARK.accessed | MARK.dirty : MARK.accessed;
    this.markAt(first, marks);
    for (const address of owners.others(frame)) this.markAt(address, marks);
  }
  private changeRange(
    start: Hva,
    size: number,
    change: (range: HvaRange) => void,
  ): { readonly kind: "done" } | Refused {
    const range = { start, end: hva(start + size) };
    const why = wrongRange(start, size) ?? whyNotCuttable(this.space, range);
    if (why) return refused(why);
    change(range);
    return { kind: "done" };
  }
  private place(range: HvaRange, backing: Backing, over: boolean): { kind: "mapped" } | Refused {
    const { space } = this;
    const { start, end } = range;
    const mapping = new Mapping(start, (end - start) / PAGE_SIZE, backing);
    if (over) unmapRange(space, range);
    if (backing.kind === "hugetlb" && !reserveHuge(space, range, backing.level))
      return refused(
        `the host has too few free huge pages for ${at(start)}, size ${hex(end - start)}: choose smaller pages or a smaller size`,
      );
    space.mappings.insert(mapping);
    return { kind: "mapped" };
  }
  private markAt(address: Hva, marks: number): void {
    const mapping = this.space.mappings.at(address);
    mapping?.mark(mapping.entry(mapping.indexOf(address)), marks);
  }

  /** What must hold and does not, as sentences. */
  check(): string[] {
    return checkHost(this.space);
  }

  /** Frames that the host may use; beyond them it reclaims. Undefined: all there are. */
  set limit(frames: number | undefined) {
    this.space.limit = frames ?? Number.POSITIVE_INFINITY;
  }
  /** Reclaims if the limit is reached: to be called where pages may be taken from the guest. */
  keepLimit(): void {
    if (this.space.limit !== Number.POSITIVE_INFINITY) keepLimit(this.space);
  }
  /** Takes so many pages from the process, those not used lately; how many came. */
  reclaim(pages: number): number {
    return reclaim(this.space, pages);
  }
  get shrinkers(): Shrinkers {
    return this.space.shrinkers;
  }
  countPages(range: HvaRange): PageCounts {
    return countPages(this.space, range);
  }
  memoryReport(): MemoryReport {
    return reportMemory(this.space);
  }

  save(): HostProcessState {
    return this.space.save();
  }
  /** The frames' own state is `HostMemory`'s; restore that too. */
  restore(state: HostProcessState): void {
    this.space.restore(state);
  }
}
