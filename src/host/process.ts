import { type Hva, hva, PAGE_SIZE, type Pfn, pfn, type Trace } from "../x86";
import { type Backing, MARK, Mapping, type MappingState } from "./mapping";
import { type HvaRange, Notifiers } from "./notifiers";
import { type HostMemory, ZONE_BASE } from "./physical-memory";

/** Where guest memory is mapped first. The page at this address has the first frame of zone "guest". */
export const GUEST_HVA = hva(0x7f0000000000);
/** User addresses end here (x86-64, 4-level host). */
const HVA_LIMIT = 2 ** 47;

/** A request that was not carried out; `reason` says what, where and what to do. */
export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
}

/** What came of making a page resident. `read-only`: a write to a mapping without write permission. */
export type FaultIn =
  | { readonly kind: "page"; readonly pfn: Pfn; readonly writable: boolean }
  | { readonly kind: "no-mapping" }
  | { readonly kind: "read-only" }
  | { readonly kind: "out-of-memory" };

/** What the host's page table says about one page; `pfn` is absent when the page is not resident. */
export interface HostPage {
  readonly hva: Hva;
  readonly pfn: Pfn | undefined;
  readonly writable: boolean;
  readonly accessed: boolean;
  readonly dirty: boolean;
  readonly swapped: boolean;
}

export interface HostProcessState {
  readonly mappings: readonly MappingState[];
  /** Pages on the swap device, by rising address. */
  readonly swap: readonly (readonly [hva: number, bytes: Uint8Array])[];
}

/**
 * The process a virtual machine belongs to: its address space (hva) and the page table behind it
 * (hva → pfn). Pages appear on demand, zero; every change of a present entry is announced to the
 * notifiers.
 */
export class HostProcess {
  readonly notifiers = new Notifiers();
  private list: Mapping[] = [];
  private readonly owners = new Map<Pfn, Hva>();
  /** Contents of swapped pages: never written once they are here, so states may share them. */
  private readonly swap = new Map<Hva, Uint8Array>();

  constructor(
    readonly memory: HostMemory,
    private readonly trace: Trace,
  ) {}

  /** By rising address. */
  get mappings(): readonly Mapping[] {
    return this.list;
  }

  mmap(start: Hva, size: number, backing: Backing): { readonly kind: "mapped" } | Refused {
    const wrong = this.wrongRange(start, size);
    if (wrong) return { kind: "refused", reason: wrong };
    const other = this.list.find((m) => m.start < start + size && start < m.end);
    if (other)
      return refuse(
        `hva ${hex(start)} is already mapped by the area at ${hex(other.start)}`,
        "unmap it first",
      );
    this.list.push(new Mapping(start, size / PAGE_SIZE, backing));
    this.list.sort((a, b) => a.start - b.start);
    return { kind: "mapped" };
  }

  /** Unmaps what there is in the range, as munmap does; holes in it are no error. */
  munmap(start: Hva, size: number): { readonly kind: "unmapped" } | Refused {
    const wrong = this.wrongRange(start, size);
    if (wrong) return { kind: "refused", reason: wrong };
    const range: HvaRange = { start, end: hva(start + size) };
    this.notifiers.around(range, () => {
      this.list = this.list.flatMap((mapping) => this.without(mapping, range));
    });
    return { kind: "unmapped" };
  }

  /** Makes the page resident, as an access by this process would. */
  faultIn(address: Hva, write: boolean): FaultIn {
    const mapping = this.mappingAt(address);
    if (!mapping) return { kind: "no-mapping" };
    const { writable } = mapping.backing;
    if (write && !writable) return { kind: "read-only" };
    const index = mapping.indexOf(address);
    const frame = mapping.frame(index) ?? this.populate(mapping, index, write);
    if (frame === undefined) return { kind: "out-of-memory" };
    mapping.mark(index, write ? MARK.accessed | MARK.dirty : MARK.accessed);
    return { kind: "page", pfn: frame, writable };
  }

  /** The frame behind an address if the page is resident. Changes nothing. */
  translate(address: Hva): Pfn | undefined {
    const mapping = this.mappingAt(address);
    return mapping?.frame(mapping.indexOf(address));
  }

  /** What the page table says; undefined where nothing is mapped. Changes nothing. */
  page(address: Hva): HostPage | undefined {
    const mapping = this.mappingAt(address);
    if (!mapping) return undefined;
    const index = mapping.indexOf(address);
    return {
      hva: mapping.addressOf(index),
      pfn: mapping.frame(index),
      writable: mapping.backing.writable,
      accessed: mapping.isMarked(index, MARK.accessed),
      dirty: mapping.isMarked(index, MARK.dirty),
      swapped: mapping.isMarked(index, MARK.swapped),
    };
  }

  /**
   * What a read of the page would see, wherever it is: in a frame (live bytes), on the swap device, or
   * nowhere yet (zeros). Undefined where nothing is mapped. Changes nothing.
   */
  contents(address: Hva): Uint8Array | undefined {
    const mapping = this.mappingAt(address);
    if (!mapping) return undefined;
    const index = mapping.indexOf(address);
    const frame = mapping.frame(index);
    if (frame !== undefined) return this.memory.frameBytes(frame);
    return this.swap.get(mapping.addressOf(index)) ?? new Uint8Array(PAGE_SIZE);
  }

  /** Page of this process that lies in a frame. */
  hvaOf(frame: Pfn): Hva | undefined {
    return this.owners.get(frame);
  }

  /** Largest level at which the host maps this address: 1, as all host pages are 4 KiB yet. */
  mappingLevel(_address: Hva): 1 {
    return 1;
  }

  /** Use that was seen elsewhere (A and D bits of an spte that was dropped) comes home. */
  markUsed(frame: Pfn, dirty: boolean): void {
    const address = this.owners.get(frame);
    const mapping = address === undefined ? undefined : this.mappingAt(address);
    if (address === undefined || !mapping) return;
    mapping.mark(mapping.indexOf(address), dirty ? MARK.accessed | MARK.dirty : MARK.accessed);
  }

  mappingAt(address: Hva): Mapping | undefined {
    for (const mapping of this.list) if (mapping.has(address)) return mapping;
    return undefined;
  }

  /** Moves a resident page into another frame, the old one becoming free. Between start and end only. */
  replace(mapping: Mapping, index: number, frame: Pfn): void {
    const old = mapping.frame(index);
    if (old !== undefined) {
      this.memory.frameBytes(frame).set(this.memory.frameBytes(old));
      this.release(old);
    }
    mapping.setFrame(index, frame);
    this.owners.set(frame, mapping.addressOf(index));
  }

  /** Takes a resident page to the swap device. Between start and end only. */
  evict(mapping: Mapping, index: number): void {
    const frame = mapping.frame(index);
    if (frame === undefined) return;
    this.swap.set(mapping.addressOf(index), this.memory.frameBytes(frame).slice());
    mapping.setFrame(index, undefined);
    mapping.clear(index, MARK.accessed | MARK.dirty);
    mapping.mark(index, MARK.swapped);
    this.release(frame);
  }

  save(): HostProcessState {
    return {
      mappings: this.list.map((mapping) => mapping.save()),
      swap: [...this.swap].sort(([a], [b]) => a - b),
    };
  }

  /** The frames' own state is `HostMemory`'s; restore that too. */
  restore(state: HostProcessState): void {
    this.list = state.mappings.map(Mapping.restored);
    this.swap.clear();
    for (const [at, bytes] of state.swap) this.swap.set(hva(at), bytes);
    this.owners.clear();
    for (const mapping of this.list)
      for (let i = 0; i < mapping.pages; i++) {
        const frame = mapping.frame(i);
        if (frame !== undefined) this.owners.set(frame, mapping.addressOf(i));
      }
  }

  private populate(mapping: Mapping, index: number, write: boolean): Pfn | undefined {
    const address = mapping.addressOf(index);
    const swapped = this.swap.get(address);
    const { memory } = this;
    // A page that comes back has lost its place: so a stale copy of its old frame number shows.
    const frame = swapped
      ? memory.allocateSpare("guest")
      : (memory.allocateAt(homeOf(address)) ?? memory.allocateSpare("guest"));
    if (frame === undefined) return undefined;
    if (swapped) {
      memory.frameBytes(frame).set(swapped);
      this.swap.delete(address);
      mapping.clear(index, MARK.swapped);
    }
    mapping.setFrame(index, frame);
    this.owners.set(frame, address);
    this.trace.emit(swapped ? "host_swap_in" : "host_fault_in", {
      hva: address,
      pfn: frame,
      write,
    });
    return frame;
  }

  /** What is left of a mapping without the range; the pages inside it are freed. */
  private without(mapping: Mapping, range: HvaRange): Mapping[] {
    if (mapping.end <= range.start || range.end <= mapping.start) return [mapping];
    const from = Math.max(0, mapping.indexOf(range.start));
    const to = Math.min(mapping.pages, mapping.indexOf(range.end));
    for (let i = from; i < to; i++) {
      const frame = mapping.frame(i);
      if (frame !== undefined) this.release(frame);
      this.swap.delete(mapping.addressOf(i));
    }
    const rest: Mapping[] = [];
    if (from > 0) rest.push(mapping.part(0, from));
    if (to < mapping.pages) rest.push(mapping.part(to, mapping.pages));
    return rest;
  }

  private release(frame: Pfn): void {
    this.owners.delete(frame);
    this.memory.free(frame);
  }

  private wrongRange(start: Hva, size: number): string | undefined {
    if (start % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0 || size <= 0)
      return `hva ${hex(start)}, size ${hex(size)}: both must be multiples of 0x1000, and the size not zero`;
    if (start < PAGE_SIZE || start + size > HVA_LIMIT)
      return `hva ${hex(start)}, size ${hex(size)} is not inside 0x1000 … ${hex(HVA_LIMIT)}: choose another address`;
    return undefined;
  }
}

/** Frame where a page goes when it is free: the k-th page from `GUEST_HVA` in the k-th guest frame. */
const homeOf = (address: Hva): Pfn =>
  pfn(ZONE_BASE.guest + Math.floor((address - GUEST_HVA) / PAGE_SIZE));

const hex = (value: number): string => `0x${value.toString(16)}`;
const refuse = (what: string, advice: string): Refused => ({
  kind: "refused",
  reason: `${what}: ${advice}`,
});
