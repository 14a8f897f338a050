import type { FrameMap, Gfn, Gpa } from "../x86";
import type { MachineOptions } from "./machine";
import { MAX_RAM } from "./memory-map";
import { hex, type Refusal, refuse } from "./refusal";
import type { SlotRequest } from "./slot-backing";

const PAGE = 4096;

/** The slots of a machine: those asked for, or one at gpa 0 with all of its RAM. */
export function slotsOf({ memory, memslots, backing }: MachineOptions): readonly SlotRequest[] {
  const slots = memslots ?? [{ gpa: 0, size: memory, flags: [] }];
  return backing === undefined ? slots : slots.map((slot) => ({ backing, ...slot }));
}

/** Why these slots cannot be: misaligned, empty, beyond RAM, or overlapping. */
export function wrongSlots(slots: readonly SlotRequest[]): Refusal | undefined {
  if (slots.length === 0)
    return refuse("memslots: the list is empty: give at least one slot or leave it out");
  for (const [i, { gpa, size }] of slots.entries()) {
    const where = `memslot ${i} (gpa ${hex(gpa)}, size ${hex(size)})`;
    if (gpa % PAGE !== 0 || size % PAGE !== 0)
      return refuse(`${where} is not aligned: make gpa and size multiples of 0x1000`);
    if (size <= 0) return refuse(`${where} is empty: give it at least 0x1000 bytes`);
    if (gpa + size > MAX_RAM)
      return refuse(`${where} ends above ${hex(MAX_RAM)}, where devices begin: move it lower`);
    const other = slots.findIndex((s, k) => k < i && s.gpa < gpa + size && gpa < s.gpa + s.size);
    if (other >= 0)
      return refuse(
        `${where} overlaps memslot ${other} (gpa ${hex(slots[other]?.gpa ?? 0)}): move or shrink one`,
      );
  }
  return undefined;
}

/**
 * RAM of a machine without a hypervisor: frames in the WebAssembly memory, one slot after the other
 * from `base` on. All of it is there from the start, zero.
 */
export class BareRam implements FrameMap<Gpa> {
  private readonly ranges: readonly {
    readonly first: number;
    readonly end: number;
    readonly offset: number;
  }[];

  constructor(
    private readonly bytes: Uint8Array,
    private readonly base: number,
    slots: readonly SlotRequest[],
  ) {
    let offset = base;
    this.ranges = slots.map(({ gpa, size }) => {
      const range = { first: gpa / PAGE, end: (gpa + size) / PAGE, offset };
      offset += size;
      return range;
    });
  }

  offsetOf(frame: Gfn): number {
    for (const { first, end, offset } of this.ranges)
      if (frame >= first && frame < end) return offset + (frame - first) * PAGE;
    return -1;
  }

  /** The lowest frame above this one that has memory. */
  nextFrame(frame: Gfn): Gfn | undefined {
    let next = Infinity;
    for (const { first } of this.ranges) if (first > frame && first < next) next = first;
    return next === Infinity ? undefined : (next as Gfn);
  }

  private get size(): number {
    return this.ranges.reduce((sum, { first, end }) => sum + (end - first) * PAGE, 0);
  }

  /** Pages that are not all zero, by their place in the list of slots. */
  save(): unknown {
    const pages: [number, Uint8Array][] = [];
    const words = new Uint32Array(this.bytes.buffer, this.base, this.size / 4);
    for (let page = 0; page < this.size / PAGE; page++) {
      const from = page * (PAGE / 4);
      let used = false;
      for (let i = from; i < from + PAGE / 4 && !used; i++) used = words[i] !== 0;
      const at = this.base + page * PAGE;
      if (used) pages.push([page, this.bytes.slice(at, at + PAGE)]);
    }
    return pages;
  }

  restore(saved: unknown): void {
    this.bytes.fill(0, this.base, this.base + this.size);
    for (const [page, bytes] of saved as readonly (readonly [number, Uint8Array])[])
      this.bytes.set(bytes, this.base + page * PAGE);
  }
}
