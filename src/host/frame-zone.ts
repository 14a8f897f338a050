import { type Pfn, pfn } from "../x86";

/** `stale`: allocated before, so its bytes may not be zero. */
const FREE = 0;
const TAKEN = 1;
const FREE_STALE = 2;
const TAKEN_STALE = 3;

export interface ZoneState {
  readonly pages: number;
  readonly rising: number;
  readonly falling: number;
  /** Runs of allocated frames: first index, number, first index, number … */
  readonly taken: readonly number[];
}

/** A run of host frames and who has them. Allocation is next-fit from two ends, so it is repeatable. */
export class FrameZone {
  private readonly use: Uint8Array;
  private rising = 0;
  private falling: number;
  /** Frames allocated now. */
  count = 0;

  constructor(
    readonly first: Pfn,
    readonly pages: number,
    /** Byte offset of the first frame in the WebAssembly memory. */
    readonly offset: number,
  ) {
    this.use = new Uint8Array(pages);
    this.falling = pages - 1;
  }

  /** Byte offset just after the zone. */
  get end(): number {
    return this.offset + 4096 * this.pages;
  }
  has(frame: Pfn): boolean {
    return frame >= this.first && frame < this.first + this.pages;
  }
  offsetOf(frame: Pfn): number {
    return this.has(frame) ? this.offset + 4096 * (frame - this.first) : -1;
  }
  isTaken(frame: Pfn): boolean {
    return this.has(frame) && (this.useOf(frame) & TAKEN) !== 0;
  }
  isStale(frame: Pfn): boolean {
    return this.has(frame) && (this.useOf(frame) & FREE_STALE) !== 0;
  }

  takeRising(): Pfn | undefined {
    const index = this.search(this.rising, 1);
    if (index === undefined) return undefined;
    this.rising = (index + 1) % this.pages;
    return this.take(index);
  }
  takeFalling(): Pfn | undefined {
    const index = this.search(this.falling, -1);
    if (index === undefined) return undefined;
    this.falling = (index + this.pages - 1) % this.pages;
    return this.take(index);
  }
  takeAt(frame: Pfn): Pfn | undefined {
    return this.has(frame) && !this.isTaken(frame) ? this.take(frame - this.first) : undefined;
  }
  /** A free run of `pages` frames that begins at a multiple of `pages`: the highest such run. */
  takeRun(pages: number): Pfn | undefined {
    const last = this.pages - pages;
    for (let index = last - ((this.first + last) % pages); index >= 0; index -= pages)
      if (this.isFreeRun(index, pages)) return this.takeFrames(index, pages);
    return undefined;
  }
  takeRunAt(first: Pfn, pages: number): Pfn | undefined {
    const index = first - this.first;
    const fits = index >= 0 && index + pages <= this.pages && this.isFreeRun(index, pages);
    return fits ? this.takeFrames(index, pages) : undefined;
  }
  /** How many aligned runs of `pages` frames could be taken. */
  freeRuns(pages: number): number {
    let runs = 0;
    const start = (pages - (this.first % pages)) % pages;
    for (let index = start; index + pages <= this.pages; index += pages)
      if (this.isFreeRun(index, pages)) runs++;
    return runs;
  }

  /** False when the frame was not allocated. */
  give(frame: Pfn): boolean {
    if (!this.isTaken(frame)) return false;
    this.use[frame - this.first] = FREE_STALE;
    this.count--;
    return true;
  }

  /** Allocated frames, rising. */
  taken(): Pfn[] {
    return this.framesWith((use) => (use & TAKEN) !== 0);
  }
  /** Frames whose bytes may differ from zero, rising. */
  used(): Pfn[] {
    return this.framesWith((use) => use !== FREE);
  }

  save(): ZoneState {
    const taken: number[] = [];
    for (let i = 0; i < this.pages; i++) {
      if (!((this.use[i] ?? 0) & TAKEN)) continue;
      const from = i;
      while (i < this.pages && (this.use[i] ?? 0) & TAKEN) i++;
      taken.push(from, i - from);
    }
    return { pages: this.pages, rising: this.rising, falling: this.falling, taken };
  }

  /** The caller has zeroed all that `used()` named. */
  restore(state: ZoneState): void {
    if (state.pages !== this.pages) throw new Error("a saved zone has another size");
    this.use.fill(FREE);
    this.count = 0;
    this.rising = state.rising;
    this.falling = state.falling;
    for (let i = 0; i < state.taken.length; i += 2) {
      const [from = 0, pages = 0] = state.taken.slice(i, i + 2);
      this.use.fill(TAKEN, from, from + pages);
      this.count += pages;
    }
  }

  private isFreeRun(index: number, pages: number): boolean {
    for (let i = index; i < index + pages; i++) if (this.use[i]! & TAKEN) return false;
    return true;
  }
  private takeFrames(index: number, pages: number): Pfn {
    for (let i = index; i < index + pages; i++) this.take(i);
    return pfn(this.first + index);
  }
  private take(index: number): Pfn {
    this.use[index] = this.use[index] === FREE ? TAKEN : TAKEN_STALE;
    this.count++;
    return pfn(this.first + index);
  }

  /** First free index at or beyond `from`, going around once. */
  private search(from: number, step: 1 | -1): number | undefined {
    if (this.count === this.pages) return undefined;
    let index = from;
    while ((this.use[index] ?? 0) & TAKEN) index = (index + step + this.pages) % this.pages;
    return index;
  }

  private useOf(frame: Pfn): number {
    return this.use[frame - this.first] ?? 0;
  }
  private framesWith(wanted: (use: number) => boolean): Pfn[] {
    const frames: Pfn[] = [];
    this.use.forEach((use, index) => {
      if (wanted(use)) frames.push(pfn(this.first + index));
    });
    return frames;
  }
}
