import { type Hva, hva, PAGE_SIZE, type Pfn, pagesPerLevel, pfn } from "../x86";
import { type Backing, backingFrom, type HostLevel } from "./backing";

/**
 * Marks of an entry of the host's page table. `protected`: write access is withheld although the
 * mapping allows it, so that a write can bring a copy first. `huge2m`, `huge1g`: the page is part of a
 * huge one; all pages of it have the mark, the other marks are those of the first.
 */
export const MARK = {
  accessed: 1,
  dirty: 2,
  swapped: 4,
  protected: 8,
  huge2m: 16,
  huge1g: 32,
} as const;
const HUGE = MARK.huge2m | MARK.huge1g;
const MARK_OF_LEVEL: Readonly<Record<HostLevel, number>> = { 1: 0, 2: MARK.huge2m, 3: MARK.huge1g };

export interface MappingState {
  readonly start: number;
  readonly pages: number;
  readonly backing: Backing;
  /** Runs of resident pages with consecutive frames: index, pfn, number, index, … */
  readonly resident: readonly number[];
  readonly marks: Uint8Array;
  /** Pages that hold a poisoned frame: index, pfn, … */
  readonly poisoned: readonly number[];
}

const ABSENT = -1;
/** An entry that holds a frame whose memory is broken: kept as -2 - pfn, so that it is not present. */
const poisonedEntry = (frame: number): number => -2 - frame;

/** One mmap'ed area of the host process with its page table entries. */
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
    return frame < 0 ? undefined : pfn(frame);
  }
  /** The frame that the page holds, also when it is poisoned and so cannot be used. */
  heldFrame(index: number): Pfn | undefined {
    const frame = this.frames[index] ?? ABSENT;
    if (frame === ABSENT) return undefined;
    return pfn(frame < 0 ? poisonedEntry(frame) : frame);
  }
  isPoisoned(index: number): boolean {
    return (this.frames[index] ?? ABSENT) < ABSENT;
  }
  /** Makes the whole entry at `index` unusable, or usable again. */
  setPoisoned(index: number, poisoned: boolean): void {
    const pages = pagesPerLevel(this.level(index));
    for (let i = index; i < index + pages; i++)
      if (this.isPoisoned(i) !== poisoned) this.frames[i] = poisonedEntry(this.frames[i] ?? ABSENT);
  }
  level(index: number): HostLevel {
    const huge = (this.marks[index] ?? 0) & HUGE;
    return huge === 0 ? 1 : huge === MARK.huge2m ? 2 : 3;
  }
  /** First page of the entry that holds this page: another one only inside a huge page. */
  entry(index: number): number {
    const level = this.level(index);
    return level === 1 ? index : this.block(index, level).from;
  }
  /** Indexes of the first and just after the last page of the `level`-sized block around `index`. */
  block(index: number, level: HostLevel): { readonly from: number; readonly to: number } {
    const pages = pagesPerLevel(level);
    const from = index - ((this.addressOf(index) / PAGE_SIZE) % pages);
    return { from, to: from + pages };
  }

  /** Writes the entry of `level` at `index`: `frame` and those after it, with no marks. */
  setEntry(index: number, frame: Pfn, level: HostLevel): void {
    const pages = pagesPerLevel(level);
    for (let i = 0; i < pages; i++) this.frames[index + i] = frame + i;
    this.marks.fill(MARK_OF_LEVEL[level], index, index + pages);
  }
  /** Empties one 4 KiB entry, marks included. */
  clearEntry(index: number): void {
    this.frames[index] = ABSENT;
    this.marks[index] = 0;
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
  /** All marks but the size. */
  marksOf(index: number): number {
    return (this.marks[index] ?? 0) & ~HUGE;
  }
  /** Makes the huge entry at `index` one of 4 KiB pages; each inherits its marks. */
  splitEntry(index: number): void {
    const pages = pagesPerLevel(this.level(index));
    this.marks.fill(this.marksOf(index), index, index + pages);
  }

  /** The same pages from index `from` up to but not including `to`, as a mapping of their own. */
  part(from: number, to: number, backing = backingFrom(this.backing, from)): Mapping {
    const part = new Mapping(this.addressOf(from), to - from, backing);
    part.frames.set(this.frames.subarray(from, to));
    part.marks.set(this.marks.subarray(from, to));
    return part;
  }

  /** The backing of what would come just after this mapping. */
  get continued(): Backing {
    return backingFrom(this.backing, this.pages);
  }
  /** This mapping and one that begins where it ends, as one. */
  joined(next: Mapping): Mapping {
    const whole = new Mapping(this.start, this.pages + next.pages, this.backing);
    whole.frames.set(this.frames);
    whole.frames.set(next.frames, this.pages);
    whole.marks.set(this.marks);
    whole.marks.set(next.marks, this.pages);
    return whole;
  }

  save(): MappingState {
    const { frames, start, pages, backing } = this;
    const resident: number[] = [];
    const poisoned: number[] = [];
    for (let i = 0; i < pages; i++) {
      const frame = frames[i] ?? ABSENT;
      if (frame < 0) {
        if (frame < ABSENT) poisoned.push(i, poisonedEntry(frame));
        continue;
      }
      let run = 1;
      while (i + run < pages && frames[i + run] === frame + run) run++;
      resident.push(i, frame, run);
      i += run - 1;
    }
    return { start, pages, backing, resident, marks: this.marks.slice(), poisoned };
  }

  static restored(state: MappingState): Mapping {
    const mapping = new Mapping(hva(state.start), state.pages, state.backing);
    for (let i = 0; i < state.resident.length; i += 3) {
      const [index = 0, frame = 0, run = 0] = state.resident.slice(i, i + 3);
      for (let k = 0; k < run; k++) mapping.frames[index + k] = frame + k;
    }
    for (let i = 0; i < state.poisoned.length; i += 2)
      mapping.frames[state.poisoned[i]!] = poisonedEntry(state.poisoned[i + 1]!);
    mapping.marks.set(state.marks);
    return mapping;
  }
}
