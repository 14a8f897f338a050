import { type Hva, hva, PAGE_SIZE, type Pfn, pfn } from "../x86";

/** What lies behind a mapping. Files and devices come with later issues. */
export interface Backing {
  readonly kind: "anonymous";
  readonly writable: boolean;
}

/** Marks of a page of the host process, as its own page table would keep them. */
export const MARK = { accessed: 1, dirty: 2, swapped: 4 } as const;

export interface MappingState {
  readonly start: number;
  readonly pages: number;
  readonly writable: boolean;
  /** Runs of resident pages with consecutive frames: index, pfn, number, index, … */
  readonly resident: readonly number[];
  readonly marks: Uint8Array;
}

const ABSENT = -1;

/** One mmap'ed area of the host process with its page table entries, all at 4 KiB. */
export class Mapping {
  private readonly frames: Int32Array;
  private readonly marks: Uint8Array;

  constructor(
    readonly start: Hva,
    readonly pages: number,
    readonly backing: Backing,
  ) {
    this.frames = new Int32Array(pages).fill(ABSENT);
    this.marks = new Uint8Array(pages);
  }

  get end(): Hva {
    return this.addressOf(this.pages);
  }
  has(address: Hva): boolean {
    return address >= this.start && address < this.end;
  }
  indexOf(address: Hva): number {
    return Math.floor((address - this.start) / PAGE_SIZE);
  }
  addressOf(index: number): Hva {
    return hva(this.start + index * PAGE_SIZE);
  }

  frame(index: number): Pfn | undefined {
    const frame = this.frames[index] ?? ABSENT;
    return frame === ABSENT ? undefined : pfn(frame);
  }
  setFrame(index: number, frame: Pfn | undefined): void {
    this.frames[index] = frame ?? ABSENT;
  }
  isMarked(index: number, mark: number): boolean {
    return ((this.marks[index] ?? 0) & mark) !== 0;
  }
  mark(index: number, mark: number): void {
    this.marks[index] = (this.marks[index] ?? 0) | mark;
  }
  clear(index: number, mark: number): void {
    this.marks[index] = (this.marks[index] ?? 0) & ~mark;
  }

  /** The same pages from index `from` up to but not including `to`, as a mapping of their own. */
  part(from: number, to: number): Mapping {
    const part = new Mapping(this.addressOf(from), to - from, this.backing);
    part.frames.set(this.frames.subarray(from, to));
    part.marks.set(this.marks.subarray(from, to));
    return part;
  }

  save(): MappingState {
    const { frames } = this;
    const resident: number[] = [];
    for (let i = 0; i < this.pages; i++) {
      const frame = frames[i] ?? ABSENT;
      if (frame === ABSENT) continue;
      let run = 1;
      while (i + run < this.pages && frames[i + run] === frame + run) run++;
      resident.push(i, frame, run);
      i += run - 1;
    }
    const { start, pages } = this;
    const { writable } = this.backing;
    return { start, pages, writable, resident, marks: this.marks.slice() };
  }

  static restored(state: MappingState): Mapping {
    const mapping = new Mapping(hva(state.start), state.pages, {
      kind: "anonymous",
      writable: state.writable,
    });
    for (let i = 0; i < state.resident.length; i += 3) {
      const [index = 0, frame = 0, run = 0] = state.resident.slice(i, i + 3);
      for (let k = 0; k < run; k++) mapping.frames[index + k] = frame + k;
    }
    mapping.marks.set(state.marks);
    return mapping;
  }
}
