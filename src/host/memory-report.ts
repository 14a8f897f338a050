import { pagesPerLevel } from "../x86";
import type { AddressSpace } from "./address-space";
import { FRAME } from "./frame-owners";
import { MARK } from "./mapping";
import { usedFrames } from "./reclaim";

/** Where the host's memory is, in 4 KiB pages. */
export interface MemoryReport {
  /** Frames in use that count against `limit`: those of the process and shadow pages. */
  readonly used: number;
  /** Undefined when there is none. */
  readonly limit: number | undefined;
  /** Pages of the process that are in a frame. */
  readonly resident: number;
  /** … of these, in huge pages of 2 MiB and of 1 GiB. */
  readonly huge2m: number;
  readonly huge1g: number;
  /** Pages that share a frame because their bytes were the same. */
  readonly merged: number;
  readonly swapped: number;
  readonly poisoned: number;
  /** Frames of the page cache. */
  readonly cached: number;
  /** Frames that the host cannot have back: of hugetlb, of shadow pages in use as roots, of the vCPUs. */
  readonly pinned: number;
}

/** Counts by going through all pages: for views and the console, not for every step. */
export function reportMemory(space: AddressSpace): MemoryReport {
  const { memory, owners, limit } = space;
  const count = { resident: 0, huge2m: 0, huge1g: 0, merged: 0, swapped: 0, poisoned: 0 };
  let hugetlb = poolFrames(space);
  for (const mapping of space.mappings.all)
    for (let i = 0; i < mapping.pages; i++) {
      const frame = mapping.frame(i);
      if (mapping.isPoisoned(i)) count.poisoned++;
      if (mapping.isMarked(i, MARK.swapped)) count.swapped++;
      if (frame === undefined) continue;
      count.resident++;
      if (mapping.level(i) === 2) count.huge2m++;
      if (mapping.level(i) === 3) count.huge1g++;
      if (mapping.backing.kind === "hugetlb") hugetlb++;
      else if (owners.isFlagged(frame, FRAME.merged)) count.merged++;
    }
  const cached = [...space.files.values()].reduce((frames, { cache }) => frames + cache.size, 0);
  const { low, mmu } = memory.zones;
  return {
    ...count,
    used: usedFrames(space),
    limit: Number.isFinite(limit) ? limit : undefined,
    cached,
    pinned: hugetlb + low.count + mmu.count - space.shrinkers.count(),
  };
}

function poolFrames(space: AddressSpace): number {
  let frames = 0;
  for (const address of space.pool.keys()) {
    const backing = space.mappings.at(address)?.backing;
    if (backing?.kind === "hugetlb") frames += pagesPerLevel(backing.level);
  }
  return frames;
}
