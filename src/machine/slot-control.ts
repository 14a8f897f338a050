import { GUEST_HVA, type HostProcess } from "../host";
import { type MemorySlot, type RegionOutcome, SLOT_FLAG, type Vm } from "../kvm";
import { type Gpa, gpa, gpaOf, type Hva, hva, PAGE_SIZE } from "../x86";
import { MAX_RAM } from "./memory-map";
import { hex, type Refusal, refuse } from "./refusal";
import { backingOf, type SlotRequest, slotFile } from "./slot-backing";

/** A change of a slot: what came of it, or why it cannot be. */
export type SlotOutcome = Exclude<RegionOutcome, { readonly kind: "refused" }> | Refusal;

/** From one address that is tried for a slot's memory to the next: keeps the alignment of all page sizes. */
const NEXT_PLACE = 2 ** 30;

const REGION_FLAGS = { ro: SLOT_FLAG.readonly, "log-dirty": SLOT_FLAG.logDirty } as const;

/**
 * Makes, moves, changes and deletes memslots as a VMM does: memory of the process first, then
 * KVM_SET_USER_MEMORY_REGION, whose rules decide.
 */
export class SlotControl {
  constructor(
    private readonly vm: Vm,
    private readonly process: HostProcess,
  ) {}

  /**
   * A slot of memory that is mapped for it, or with `shown` of memory that is mapped already, which the
   * guest then sees at several addresses.
   */
  create(id: number, { gpa: at, size, flags, backing }: SlotRequest, shown?: Hva): SlotOutcome {
    const outside = beyondRam(id, at, size);
    if (outside) return outside;
    const address = shown ?? this.placeFor(at, size);
    // A region of an id in use is a change of it, for the rules below to judge: nothing is mapped.
    const maps = shown === undefined && size > 0 && !this.vm.slots.some((slot) => slot.id === id);
    if (maps) {
      const pages = size / PAGE_SIZE;
      if (backing === "file" && this.process.createFile(slotFile(id), pages))
        this.process.resizeFile(slotFile(id), pages);
      const mapped = this.process.mmap(address, size, backingOf(backing ?? "anonymous", id));
      if (mapped.kind === "refused") return refuse(mapped.reason);
    }
    const outcome = this.set(id, gpa(at), size, address, flags);
    if (maps && outcome.kind === "refused") this.process.munmap(address, size);
    return outcome;
  }

  move({ id, npages, userspaceAddr, ...slot }: MemorySlot, at: Gpa): SlotOutcome {
    const size = npages * PAGE_SIZE;
    return beyondRam(id, at, size) ?? this.set(id, at, size, userspaceAddr, flagsOf(slot));
  }

  setFlags(slot: MemorySlot, flags: SlotRequest["flags"]): SlotOutcome {
    const { id, baseGfn, npages, userspaceAddr } = slot;
    return this.set(id, gpaOf(baseGfn), npages * PAGE_SIZE, userspaceAddr, flags);
  }

  /** Its memory is unmapped too, unless another slot shows it. */
  delete({ id, baseGfn, npages, userspaceAddr }: MemorySlot): SlotOutcome {
    const outcome = this.set(id, gpaOf(baseGfn), 0, userspaceAddr, []);
    if (outcome.kind === "refused") return outcome;
    const end = userspaceAddr + npages * PAGE_SIZE;
    const isShown = this.vm.slots.some(
      (slot) =>
        slot.userspaceAddr < end && userspaceAddr < slot.userspaceAddr + slot.npages * PAGE_SIZE,
    );
    if (!isShown) this.process.munmap(userspaceAddr, npages * PAGE_SIZE);
    return outcome;
  }

  private set(
    slot: number,
    guestPhysAddr: Gpa,
    memorySize: number,
    userspaceAddr: Hva,
    wanted: SlotRequest["flags"],
  ): SlotOutcome {
    const flags = wanted.reduce((sum, flag) => sum | REGION_FLAGS[flag], 0);
    const region = { slot, flags, guestPhysAddr, memorySize, userspaceAddr };
    const outcome = this.vm.setMemoryRegion(region);
    return outcome.kind === "refused" ? refuse(`${outcome.reason} (${outcome.errno})`) : outcome;
  }

  /** Where the slot's memory goes by default, or the next place above that is free. */
  private placeFor(at: number, size: number): Hva {
    const { mappings } = this.process;
    let start = GUEST_HVA + at;
    while (mappings.some((each) => each.start < start + size && start < each.end))
      start += NEXT_PLACE;
    return hva(start);
  }
}

/** The flags of a slot by their names in a configuration. */
export const flagsOf = ({ flags }: Pick<MemorySlot, "flags">): SlotRequest["flags"] =>
  (["ro", "log-dirty"] as const).filter((name) => (flags & REGION_FLAGS[name]) !== 0);

const beyondRam = (id: number, at: number, size: number): Refusal | undefined =>
  at + size > MAX_RAM
    ? refuse(
        `slot ${id} at gpa ${hex(at)}, size ${hex(size)} ends above ${hex(MAX_RAM)}, where devices begin: move it lower`,
      )
    : undefined;
