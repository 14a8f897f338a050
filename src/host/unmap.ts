import { pagesPerLevel } from "../x86";
import type { AddressSpace } from "./address-space";
import { splitHuge } from "./huge-page";
import { MARK, type Mapping } from "./mapping";
import type { HvaRange } from "./notifiers";

/** Takes the range out of all mappings; the pages inside it are let go. */
export function unmapRange(space: AddressSpace, range: HvaRange): void {
  const touched = space.mappings.all.filter(
    (mapping) => mapping.start < range.end && range.start < mapping.end,
  );
  for (const mapping of touched) splitAtEdges(space, mapping, range);
  space.notifiers.around(range, () => {
    for (const mapping of touched) {
      const { from, to } = pagesIn(mapping, range);
      emptyPages(space, mapping, from, to);
      const rest: Mapping[] = [];
      if (from > 0) rest.push(mapping.part(0, from));
      if (to < mapping.pages) rest.push(mapping.part(to, mapping.pages));
      space.mappings.replace(mapping, rest);
    }
  });
}

/** Indexes of the pages of a mapping that lie in a range. */
export const pagesIn = (mapping: Mapping, range: HvaRange): { from: number; to: number } => ({
  from: Math.max(0, mapping.indexOf(range.start)),
  to: Math.min(mapping.pages, mapping.indexOf(range.end)),
});

/** Splits huge pages that lie only partly in the range. */
export function splitAtEdges(space: AddressSpace, mapping: Mapping, range: HvaRange): void {
  const { from, to } = pagesIn(mapping, range);
  for (const edge of [from, to]) {
    if (edge >= mapping.pages || mapping.level(edge) === 1) continue;
    const entry = mapping.entry(edge);
    if (entry !== edge) splitHuge(space, mapping, entry);
  }
}

/** Lets go of whatever the pages have: frames and places on the swap device. */
export function emptyPages(space: AddressSpace, mapping: Mapping, from: number, to: number): void {
  let pages = 1;
  for (let i = from; i < to; i += pages) {
    pages = pagesPerLevel(mapping.level(i));
    if (mapping.frame(i) !== undefined) space.discard(mapping, i);
    else if (mapping.isMarked(i, MARK.swapped)) {
      space.swap.delete(mapping.addressOf(i));
      mapping.clearEntry(i);
    }
  }
}
