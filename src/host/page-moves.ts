import { type Pfn, pagesPerLevel, pfn } from "../x86";
import { type AddressSpace, entryRange } from "./address-space";
import { MARK, type Mapping } from "./mapping";
import type { HvaRange } from "./notifiers";
import { dropFromCache } from "./page-cache";

/** An entry of the page table: where a frame is mapped. */
export interface Place {
  readonly mapping: Mapping;
  readonly index: number;
}

/** Every entry that begins with this frame: several when the page is shared. */
export function placesOf(space: AddressSpace, frame: Pfn): Place[] {
  return space.owners.all(frame).flatMap((address) => {
    const found = space.mappings.at(address);
    return found ? [{ mapping: found, index: found.indexOf(address) }] : [];
  });
}
export const rangesOf = (places: readonly Place[]): HvaRange[] =>
  places.map(({ mapping, index }) => entryRange(mapping, index));

/**
 * Takes a page to where it belongs when memory is short: anonymous pages to the swap device, pages of a
 * file back to it if they are dirty. All who map it lose it; a huge page goes as one, and comes back
 * in pieces.
 */
export function swapOut(space: AddressSpace, mapping: Mapping, index: number): void {
  const frame = mapping.frame(index);
  if (frame === undefined) return;
  const places = placesOf(space, frame);
  space.notifiers.aroundAll(rangesOf(places), () => {
    for (const place of places) evict(space, place);
    space.trace.emit("host_swap_out", { hva: mapping.addressOf(index), pfn: frame });
  });
}

function evict(space: AddressSpace, { mapping, index }: Place): void {
  const first = mapping.frame(index);
  if (first === undefined) return;
  const cached = space.cachedAt(mapping, index);
  const pages = pagesPerLevel(mapping.level(index));
  if (!cached)
    for (let i = 0; i < pages; i++)
      space.swap.set(mapping.addressOf(index + i), space.memory.frameBytes(pfn(first + i)).slice());
  space.discard(mapping, index);
  if (!cached) for (let i = 0; i < pages; i++) mapping.mark(index + i, MARK.swapped);
  else if (space.owners.count(first) === 0) dropFromCache(space, cached.file, cached.page);
}

/** Moves a page, or a huge one, to other frames for all who map it. False when there are none free. */
export function migrate(space: AddressSpace, mapping: Mapping, index: number): boolean {
  const pages = pagesPerLevel(mapping.level(index));
  const to = pages === 1 ? space.memory.allocateSpare("guest") : space.memory.allocateRun(pages);
  const old = mapping.frame(index);
  if (to === undefined || old === undefined) return false;
  const places = placesOf(space, old);
  space.notifiers.aroundAll(rangesOf(places), () => {
    for (let i = 0; i < pages; i++) relocate(space, pfn(old + i), pfn(to + i));
    const cached = space.cachedAt(mapping, index);
    cached?.file.cache.set(cached.page, to);
    for (const place of places) space.remap(place.mapping, place.index, to);
    if (cached) space.unhold(old);
    space.trace.emit("host_migrate", { hva: mapping.addressOf(index), old, pfn: to });
  });
  return true;
}

/** Bytes and flags of a frame, for those who have it. */
function relocate(space: AddressSpace, old: Pfn, to: Pfn): void {
  space.copy(old, to);
  space.owners.flag(to, space.owners.flagsOf(old));
}
