import { hva, pagesPerLevel } from "../x86";
import type { AddressSpace } from "./address-space";
import { FRAME } from "./frame-owners";
import { MARK } from "./mapping";
import type { HvaRange } from "./notifiers";
import { usedFrames } from "./reclaim";
import { mappingsIn, pagesIn } from "./unmap";

/** What has become of the pages of a range. */
export interface PageCounts {
  /** In a frame. */
  readonly resident: number;
  /** … of these, in huge pages of 2 MiB and of 1 GiB. */
  readonly huge2m: number;
  readonly huge1g: number;
  /** … of these, sharing a frame because their bytes were the same. */
  readonly merged: number;
  readonly swapped: number;
  readonly poisoned: number;
}

/** Where the host's memory is, in 4 KiB pages. */
export interface MemoryReport extends PageCounts {
  /** Frames in use that count against `limit`: those of the process and shadow pages. */
  readonly used: number;
  /** Undefined when there is none. */
  readonly limit: number | undefined;
  /** Frames of the page cache. */
  readonly cached: number;
  /** Frames that the host cannot have back: of hugetlb, of shadow pages in use as roots, of the vCPUs. */
  readonly pinned: number;
}

const EVERYWHERE: HvaRange = { start: hva(0), end: hva(2 ** 48) };

/** Counts by going through all pages of the range: for views and the console, not for every step. */
export function countPages(space: AddressSpace, range: HvaRange): PageCounts {
  const count = { resident: 0, huge2m: 0, huge1g: 0, merged: 0, swapped: 0, poisoned: 0 };
  for (const mapping of mappingsIn(space, range)) {
    const { from, to } = pagesIn(mapping, range);
    for (let i = from; i < to; i++) {
      const frame = mapping.frame(i);
      if (mapping.isPoisoned(i)) count.poisoned++;
      if (mapping.isMarked(i, MARK.swapped)) count.swapped++;
      if (frame === undefined) continue;
      count.resident++;
      if (mapping.level(i) === 2) count.huge2m++;
      if (mapping.level(i) === 3) count.huge1g++;
      if (space.owners.isFlagged(frame, FRAME.merged)) count.merged++;
    }
  }
  return count;
}

export function reportMemory(space: AddressSpace): MemoryReport {
  const { limit, memory, shrinkers } = space;
  const { low, mmu } = memory.zones;
  const cached = [...space.files.values()].reduce((frames, { cache }) => frames + cache.size, 0);
  return {
    ...countPages(space, EVERYWHERE),
    used: usedFrames(space),
    limit: Number.isFinite(limit) ? limit : undefined,
    cached,
    pinned: hugetlbFrames(space) + low.count + mmu.count - shrinkers.count(),
  };
}

/** Frames of hugetlb mappings, in use or set aside: a poisoned one is lost, not pinned. */
function hugetlbFrames(space: AddressSpace): number {
  let frames = 0;
  for (const { start, end, backing } of space.mappings.all)
    if (backing.kind === "hugetlb") frames += countPages(space, { start, end }).resident;
  for (const address of space.pool.keys()) {
    const backing = space.mappings.at(address)?.backing;
    if (backing?.kind === "hugetlb") frames += pagesPerLevel(backing.level);
  }
  return frames;
}
