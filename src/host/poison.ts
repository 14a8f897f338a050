import { type Pfn, pagesPerLevel, pfn } from "../x86";
import type { AddressSpace } from "./address-space";
import { FRAME } from "./frame-owners";
import { splitHuge } from "./huge-page";
import type { Mapping } from "./mapping";
import { placesOf, rangesOf } from "./page-moves";

/**
 * The memory of a resident page turns out to be broken (memory_failure): all who map it lose it, and
 * whoever touches it fails. Only 4 KiB of a transparent huge page go, but all of a hugetlb one.
 */
export function poison(space: AddressSpace, mapping: Mapping, index: number): void {
  if (mapping.backing.kind === "anonymous" && mapping.level(index) > 1)
    splitHuge(space, mapping, mapping.entry(index));
  const entry = mapping.entry(index);
  const frame = mapping.heldFrame(entry);
  if (frame === undefined) throw new Error("a page that is not resident cannot be poisoned");
  const places = placesOf(space, frame);
  space.notifiers.aroundAll(rangesOf(places), () => {
    mark(space, frame, pagesPerLevel(mapping.level(entry)), true);
    for (const place of places) place.mapping.setPoisoned(place.index, true);
    space.trace.emit("host_poison", { hva: mapping.addressOf(index), pfn: frame });
  });
}

/** Takes an injected poisoning back: the page is there again, with its bytes. */
export function unpoison(space: AddressSpace, mapping: Mapping, index: number): void {
  const entry = mapping.entry(index);
  const frame = mapping.heldFrame(entry);
  if (frame === undefined) throw new Error("a page without a frame is not poisoned");
  mark(space, frame, pagesPerLevel(mapping.level(entry)), false);
  for (const place of placesOf(space, frame)) place.mapping.setPoisoned(place.index, false);
  space.trace.emit("host_unpoison", { hva: mapping.addressOf(index), pfn: frame });
}

function mark(space: AddressSpace, first: Pfn, pages: number, poisoned: boolean): void {
  for (let i = 0; i < pages; i++)
    if (poisoned) space.owners.flag(pfn(first + i), FRAME.poisoned);
    else space.owners.unflag(pfn(first + i), FRAME.poisoned);
}
