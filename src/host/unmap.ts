import { hva, PAGE_SIZE, pagesPerLevel } from "../x86";
import type { AddressSpace } from "./address-space";
import { isSameBacking } from "./backing";
import { splitHuge } from "./huge-page";
import { releaseHuge, reserveHuge } from "./huge-pool";
import { MARK, type Mapping } from "./mapping";
import type { HvaRange } from "./notifiers";

/** Mappings that have pages in the range. */
export const mappingsIn = (space: AddressSpace, range: HvaRange): Mapping[] =>
  space.mappings.all.filter((m) => m.start < range.end && range.start < m.end);

/** Why the edges of the range cannot be edges of a mapping: huge pages of hugetlb are never cut. */
export function whyNotCuttable(space: AddressSpace, range: HvaRange): string | undefined {
  for (const { start, end, backing } of mappingsIn(space, range)) {
    if (backing.kind !== "hugetlb") continue;
    const size = PAGE_SIZE * pagesPerLevel(backing.level);
    for (const edge of [range.start, range.end])
      if (edge > start && edge < end && edge % size !== 0)
        return `hva 0x${edge.toString(16)} is inside a huge page of a hugetlb mapping: choose a multiple of 0x${size.toString(16)}`;
  }
  return undefined;
}

/** Takes the range out of all mappings; the pages inside it are let go. */
export function unmapRange(space: AddressSpace, range: HvaRange): void {
  const touched = mappingsIn(space, range);
  for (const mapping of touched) splitAtEdges(space, mapping, range);
  space.notifiers.around(range, () => {
    for (const mapping of touched) {
      emptyPages(space, mapping, range);
      const { from, to } = pagesIn(mapping, range);
      const { backing } = mapping;
      if (backing.kind === "hugetlb")
        releaseHuge(
          space,
          { start: mapping.addressOf(from), end: mapping.addressOf(to) },
          backing.level,
        );
      const rest: Mapping[] = [];
      if (from > 0) rest.push(mapping.part(0, from));
      if (to < mapping.pages) rest.push(mapping.part(to, mapping.pages));
      space.mappings.replace(mapping, rest);
    }
  });
}

/**
 * Empties the range but leaves it mapped: the next use brings zeros, or what the file has
 * (MADV_DONTNEED).
 */
export function discardRange(space: AddressSpace, range: HvaRange): void {
  const touched = mappingsIn(space, range);
  for (const mapping of touched) splitAtEdges(space, mapping, range);
  space.notifiers.around(range, () => {
    for (const mapping of touched) {
      emptyPages(space, mapping, range);
      if (mapping.backing.kind === "hugetlb") refill(space, mapping, range);
    }
    space.trace.emit("host_discard", { hva: range.start, end: range.end });
  });
}

/** Changes the write permission of the range (mprotect). */
export function protectRange(space: AddressSpace, range: HvaRange, writable: boolean): void {
  const touched = mappingsIn(space, range);
  for (const mapping of touched) splitAtEdges(space, mapping, range);
  space.notifiers.around(range, () => {
    for (const mapping of touched) {
      const { from, to } = pagesIn(mapping, range);
      const middle = mapping.part(from, to);
      const parts = [middle.part(0, middle.pages, { ...middle.backing, writable })];
      if (from > 0) parts.unshift(mapping.part(0, from));
      if (to < mapping.pages) parts.push(mapping.part(to, mapping.pages));
      space.mappings.replace(mapping, parts);
    }
    for (const edge of [range.start, range.end]) joinAt(space, edge);
    space.trace.emit("host_protect", { hva: range.start, end: range.end, writable });
  });
}

/** Two mappings that meet there and are of the same memory become one. */
function joinAt(space: AddressSpace, edge: number): void {
  const after = space.mappings.at(hva(edge));
  const before = space.mappings.at(hva(edge - PAGE_SIZE));
  if (!after || !before || before === after) return;
  if (!isSameBacking(before.continued, after.backing)) return;
  space.mappings.replace(after, []);
  space.mappings.replace(before, [before.joined(after)]);
}

/** Indexes of the pages of a mapping that lie in a range. */
export const pagesIn = (mapping: Mapping, range: HvaRange): { from: number; to: number } => ({
  from: Math.max(0, mapping.indexOf(range.start)),
  to: Math.min(mapping.pages, mapping.indexOf(range.end)),
});

/** Splits huge pages that lie only partly in the range. */
function splitAtEdges(space: AddressSpace, mapping: Mapping, range: HvaRange): void {
  const { from, to } = pagesIn(mapping, range);
  for (const edge of [from, to]) {
    if (edge >= mapping.pages || mapping.level(edge) === 1) continue;
    const entry = mapping.entry(edge);
    if (entry !== edge) splitHuge(space, mapping, entry);
  }
}

/** Lets go of whatever the pages have: frames and places on the swap device. */
function emptyPages(space: AddressSpace, mapping: Mapping, range: HvaRange): void {
  const { from, to } = pagesIn(mapping, range);
  let pages = 1;
  for (let i = from; i < to; i += pages) {
    pages = pagesPerLevel(mapping.level(i));
    if (mapping.heldFrame(i) !== undefined) space.discard(mapping, i);
    else if (mapping.isMarked(i, MARK.swapped)) {
      space.swap.delete(mapping.addressOf(i));
      mapping.clearEntry(i);
    }
  }
}

/** The huge pages that were emptied are set aside again, as far as there are whole ones. */
function refill(space: AddressSpace, mapping: Mapping, range: HvaRange): void {
  const { backing } = mapping;
  if (backing.kind !== "hugetlb") return;
  const { from, to } = pagesIn(mapping, range);
  const pages = pagesPerLevel(backing.level);
  for (let i = from; i < to; i += pages) {
    const start = mapping.addressOf(i);
    if (!space.pool.has(start))
      reserveHuge(space, { start, end: mapping.addressOf(i + pages) }, backing.level);
  }
}
