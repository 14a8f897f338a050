import { hva, pagesPerLevel } from "../x86";
import type { AddressSpace } from "./address-space";
import { MARK, type Mapping } from "./mapping";
import { type Place, placesOf, rangesOf, swapOut } from "./page-moves";

/** SWAP_CLUSTER_MAX: pages freed beyond the limit once it is reached, so that not each fault reclaims. */
const CLUSTER = 32;

/** Frames in use that count against the limit: those of the process and the shadow pages. */
export const usedFrames = ({ memory: { zones } }: AddressSpace): number =>
  zones.guest.count + zones.mmu.count;

/** Brings the use of memory under the limit when it is above: shadow pages by their share, then pages. */
export function keepLimit(space: AddressSpace): void {
  const used = usedFrames(space);
  if (used < space.limit || space.notifiers.changing) return;
  const wanted = used - space.limit + CLUSTER;
  const share = Math.ceil((wanted * space.shrinkers.count()) / used);
  if (share > 0) space.shrinkers.shrink(share);
  reclaim(space, wanted);
}

/**
 * Swaps out `wanted` pages, those that were not used since they were looked at last (second chance): a
 * page that is young is made old and passed over. How many went.
 */
export function reclaim(space: AddressSpace, wanted: number): number {
  let reclaimed = 0;
  const turn = space.mappings.all.reduce((pages, mapping) => pages + mapping.pages, 0);
  // One turn may find all pages young; the second finds them old, unless they were used meanwhile.
  for (let seen = 0; seen < 2 * turn && reclaimed < wanted; ) {
    const mapping = space.mappings.firstIn(space.hand, hva(Number.MAX_SAFE_INTEGER));
    if (!mapping) {
      space.hand = hva(0);
      if (turn === 0) break;
      continue;
    }
    const index = mapping.entry(Math.max(0, mapping.indexOf(space.hand)));
    const pages = pagesPerLevel(mapping.level(index));
    space.hand = mapping.addressOf(index + pages);
    seen += pages;
    if (!isReclaimable(mapping, index) || ageEntry(space, mapping, index)) continue;
    swapOut(space, mapping, index);
    reclaimed += pages;
  }
  space.trace.emit("host_reclaim", { wanted, reclaimed });
  return reclaimed;
}

/** Huge pages of hugetlb and memory of devices cannot be had back. */
export const isReclaimable = (mapping: Mapping, index: number): boolean =>
  mapping.frame(index) !== undefined &&
  mapping.backing.kind !== "hugetlb" &&
  mapping.backing.kind !== "device";

/**
 * Was the frame of the entry used since it was last asked? Asks the marks of all pages that lie in it and
 * the notifiers, and clears both.
 */
export function ageEntry(space: AddressSpace, mapping: Mapping, index: number): boolean {
  const frame = mapping.frame(index);
  if (frame === undefined) return false;
  const places = space.isCounted(frame) ? placesOf(space, frame) : [{ mapping, index }];
  const others = rangesOf(places).map((range) => space.notifiers.clearFlushYoung(range));
  // After them: what they clear may come home as a mark of the page.
  const own = places.map(takeAccessed);
  return others.includes(true) || own.includes(true);
}

function takeAccessed({ mapping, index }: Place): boolean {
  const accessed = mapping.isMarked(index, MARK.accessed);
  mapping.clear(index, MARK.accessed);
  return accessed;
}
