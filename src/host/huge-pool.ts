import { hva, PAGE_SIZE, pagesPerLevel, pfn } from "../x86";
import { type AddressSpace, homeOf } from "./address-space";
import type { HvaRange } from "./notifiers";

/** Sets huge pages aside for a hugetlb mapping, all of them or none. False when there are too few. */
export function reserveHuge(space: AddressSpace, range: HvaRange, level: 2 | 3): boolean {
  const pages = pagesPerLevel(level);
  const size = pages * PAGE_SIZE;
  for (let at = range.start; at < range.end; at = hva(at + size)) {
    const first = space.memory.allocateRun(pages, homeOf(at));
    if (first === undefined) {
      releaseHuge(space, { start: range.start, end: at }, level);
      return false;
    }
    space.pool.set(at, first);
    for (let i = 0; i < pages; i++) space.hold(pfn(first + i));
  }
  return true;
}

/** Gives back what is set aside in the range and not in use. */
export function releaseHuge(space: AddressSpace, range: HvaRange, level: 2 | 3): void {
  const pages = pagesPerLevel(level);
  for (let at = range.start; at < range.end; at = hva(at + pages * PAGE_SIZE)) {
    const first = space.pool.get(at);
    if (first === undefined) continue;
    space.pool.delete(at);
    for (let i = 0; i < pages; i++) space.unhold(pfn(first + i));
  }
}
