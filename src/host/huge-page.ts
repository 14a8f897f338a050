import { pagesPerLevel, pfn } from "../x86";
import { type AddressSpace, entryRange, homeOf } from "./address-space";
import { FRAME } from "./frame-owners";
import { MARK, type Mapping } from "./mapping";

/** Makes the huge page at the entry one of 4 KiB pages: the frames stay (split_huge_pmd). */
export function splitHuge(space: AddressSpace, mapping: Mapping, index: number): void {
  const range = entryRange(mapping, index);
  const frame = mapping.frame(index);
  space.notifiers.around(range, () => {
    mapping.splitEntry(index);
    space.trace.emit("host_split", { hva: range.start, pfn: frame });
  });
}

/** Why the 2 MiB around a page cannot become one huge page; undefined when they can. */
export function whyNotCollapsible(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
): string | undefined {
  const { from, to } = mapping.block(index, 2);
  if (mapping.backing.kind !== "anonymous") return "only anonymous memory is collapsed";
  if (from < 0 || to > mapping.pages) return "the 2 MiB around it are not all in one mapping";
  if (mapping.level(index) > 1) return "it is in a huge page already";
  let resident = 0;
  for (let i = from; i < to; i++) {
    const frame = mapping.frame(i);
    if (frame === undefined) continue;
    if (space.owners.isFlagged(frame, FRAME.merged))
      return `hva 0x${mapping.addressOf(i).toString(16)} among the 2 MiB around it is merged with another page; write to it first`;
    resident++;
  }
  return resident === 0
    ? "nothing of the 2 MiB around it is resident; touch a page first"
    : undefined;
}

/**
 * Brings the 2 MiB around the page together in one huge page, in other frames (collapse_huge_page).
 * Swapped pages come along, untouched ones as zeros. False when there is no free run of frames.
 */
export function collapse(space: AddressSpace, mapping: Mapping, index: number): boolean {
  const { from } = mapping.block(index, 2);
  const pages = pagesPerLevel(2);
  const run = space.memory.allocateRun(pages, homeOf(mapping.addressOf(from)));
  if (run === undefined) return false;
  const start = mapping.addressOf(from);
  const range = { start, end: mapping.addressOf(from + pages) };
  space.notifiers.around(range, () => {
    let marks = MARK.dirty as number;
    for (let i = from; i < from + pages; i++) {
      const to = pfn(run + i - from);
      const frame = mapping.frame(i);
      const bytes = space.swap.get(mapping.addressOf(i));
      if (frame !== undefined) {
        space.copy(frame, to);
        marks |= mapping.marksOf(i) & MARK.accessed;
        space.discard(mapping, i);
      } else if (bytes) {
        space.memory.frameBytes(to).set(bytes);
        space.swap.delete(mapping.addressOf(i));
      }
    }
    space.install(mapping, from, run, 2);
    mapping.mark(from, marks);
    space.trace.emit("host_collapse", { hva: start, pfn: run });
  });
  return true;
}
