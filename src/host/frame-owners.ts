import { type Hva, hva, type Pfn } from "../x86";
import type { FrameZone } from "./frame-zone";

const NONE = 0;

/**
 * `held`: something besides page tables has the frame (the page cache of a file, the pool of huge pages). `merged`: same-page
 * merging made it, so it is never written again (PageKsm). `dirty`: differs from the file behind it.
 * `poisoned`: its memory is broken, so it is never given to anyone again.
 */
export const FRAME = { held: 1, merged: 2, dirty: 4, poisoned: 8 } as const;

/**
 * The reverse map of the host: from a frame of zone "guest" to the pages of the process that lie in it,
 * and whether something else holds it (the page cache of a file). A frame is freed when its last holder
 * lets go, and not before.
 */
export class FrameOwners {
  /** Lowest page that maps the frame: almost always the only one. The others, rising, are in `more`. */
  private readonly first: Float64Array;
  private readonly more = new Map<Pfn, Hva[]>();
  private readonly flags: Uint8Array;

  constructor(private readonly zone: FrameZone) {
    this.first = new Float64Array(zone.pages);
    this.flags = new Uint8Array(zone.pages);
  }

  add(frame: Pfn, at: Hva): void {
    const index = frame - this.zone.first;
    const first = this.one(frame);
    if (first === undefined) {
      this.first[index] = at;
      return;
    }
    const more = this.more.get(frame) ?? [];
    this.first[index] = Math.min(first, at);
    more.push(hva(Math.max(first, at)));
    this.more.set(
      frame,
      more.sort((a, b) => a - b),
    );
  }
  /** True when nobody has the frame any more. */
  remove(frame: Pfn, at: Hva): boolean {
    const index = frame - this.zone.first;
    const more = this.more.get(frame);
    if (this.first[index] === at) this.first[index] = more?.shift() ?? NONE;
    else {
      const place = more?.indexOf(at) ?? -1;
      if (place < 0) throw new Error(`frame 0x${frame.toString(16)} is not mapped there`);
      more?.splice(place, 1);
    }
    if (more?.length === 0) this.more.delete(frame);
    return this.isUnused(frame);
  }

  flag(frame: Pfn, flag: number): void {
    const index = frame - this.zone.first;
    this.flags[index] = (this.flags[index] ?? 0) | flag;
  }
  unflag(frame: Pfn, flag: number): void {
    const index = frame - this.zone.first;
    this.flags[index] = (this.flags[index] ?? 0) & ~flag;
  }
  flagsOf(frame: Pfn): number {
    return this.flags[frame - this.zone.first] ?? 0;
  }
  isFlagged(frame: Pfn, flag: number): boolean {
    return ((this.flags[frame - this.zone.first] ?? 0) & flag) !== 0;
  }
  isUnused(frame: Pfn): boolean {
    return this.one(frame) === undefined && !this.isFlagged(frame, FRAME.held);
  }

  /** A page of the process that lies in the frame. */
  one(frame: Pfn): Hva | undefined {
    const at = this.first[frame - this.zone.first] ?? NONE;
    return at === NONE ? undefined : hva(at);
  }
  /** All of them, rising. */
  all(frame: Pfn): readonly Hva[] {
    const first = this.one(frame);
    return first === undefined ? [] : [first, ...(this.more.get(frame) ?? [])];
  }
  count(frame: Pfn): number {
    return this.one(frame) === undefined ? 0 : 1 + (this.more.get(frame)?.length ?? 0);
  }
  /** Pages after the first: empty for a frame that is not shared. Allocates nothing. */
  others(frame: Pfn): readonly Hva[] {
    return this.more.get(frame) ?? NOBODY;
  }

  saveFlags(): [pfn: number, flags: number][] {
    const saved: [number, number][] = [];
    this.flags.forEach((flags, index) => {
      if (flags) saved.push([this.zone.first + index, flags]);
    });
    return saved;
  }
  clear(): void {
    this.first.fill(NONE);
    this.flags.fill(0);
    this.more.clear();
  }
}

const NOBODY: readonly Hva[] = [];
