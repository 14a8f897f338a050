import { type Hva, type Pfn, pagesPerLevel, pfn } from "../x86";
import type { AddressSpace } from "./address-space";
import { FRAME } from "./frame-owners";
import { MARK, type Mapping } from "./mapping";

const hex = (value: number): string => `0x${value.toString(16)}`;

/** What must hold between page table, reverse map, page cache and swap device: violations as sentences. */
export function checkHost(space: AddressSpace): string[] {
  const wrong: string[] = [];
  const mapped = new Map<Pfn, Hva[]>();
  let end = 0;
  for (const mapping of space.mappings.all) {
    if (mapping.start < end) wrong.push(`the mapping at ${hex(mapping.start)} overlaps another`);
    end = mapping.end;
    for (let i = 0; i < mapping.pages; i++) {
      wrong.push(...checkPage(space, mapping, i));
      const frame = mapping.heldFrame(i);
      if (frame === undefined || !space.isCounted(frame)) continue;
      const pages = mapped.get(frame) ?? [];
      mapped.set(frame, pages);
      pages.push(mapping.addressOf(i));
    }
  }
  const held = heldFrames(space, wrong);
  const { owners, memory } = space;
  for (const frame of memory.zones.guest.taken()) {
    const pages = mapped.get(frame) ?? [];
    if (pages.join() !== owners.all(frame).join())
      wrong.push(`frame ${hex(frame)} is mapped at [${pages.map(hex)}], not where its owners say`);
    if (owners.isFlagged(frame, FRAME.held) !== held.has(frame))
      wrong.push(`frame ${hex(frame)} is held without being in a page cache, or the reverse`);
  }
  for (const frame of [...mapped.keys(), ...held])
    if (!memory.isAllocated(frame)) wrong.push(`frame ${hex(frame)} is in use but was freed`);
  return wrong;
}

function checkPage(space: AddressSpace, mapping: Mapping, index: number): string[] {
  const wrong: string[] = [];
  const where = `hva ${hex(mapping.addressOf(index))}`;
  const frame = mapping.heldFrame(index);
  const swapped = mapping.isMarked(index, MARK.swapped);
  if (swapped !== space.swap.has(mapping.addressOf(index)))
    wrong.push(`${where} is marked swapped without being on the device, or the reverse`);
  if (frame === undefined) {
    if (mapping.marksOf(index) & ~MARK.swapped) wrong.push(`${where} is empty but has marks`);
    return wrong;
  }
  if (mapping.isPoisoned(index) !== space.owners.isFlagged(frame, FRAME.poisoned))
    wrong.push(`${where} is poisoned and its frame is not, or the reverse`);
  if (swapped) wrong.push(`${where} is resident and swapped`);
  const { backing } = mapping;
  const entry = mapping.entry(index);
  const isOpen = backing.writable && !mapping.isMarked(entry, MARK.protected);
  const isSharedFile = backing.kind === "file" && backing.shared;
  if (isOpen && !isSharedFile && space.owners.count(frame) > 1)
    wrong.push(`${where} may be written, but shares frame ${hex(frame)}`);
  if (space.owners.isFlagged(frame, FRAME.merged) && !mapping.isMarked(entry, MARK.protected))
    wrong.push(`${where} lies in merged frame ${hex(frame)} and is not protected`);
  const level = mapping.level(index);
  if (level === 1) return wrong;
  const pages = pagesPerLevel(level);
  const first = mapping.heldFrame(entry);
  const isWhole = entry >= 0 && entry + pages <= mapping.pages && mapping.level(entry) === level;
  if (!isWhole || first !== frame - (index - entry) || (mapping.addressOf(entry) / 4096) % pages)
    wrong.push(`${where} is in a huge page that is not aligned or not whole`);
  return wrong;
}

function heldFrames(space: AddressSpace, wrong: string[]): Set<Pfn> {
  const held = new Set<Pfn>();
  for (const { name, cache, pages } of space.files.values())
    for (const [page, frame] of cache) {
      if (held.has(frame)) wrong.push(`frame ${hex(frame)} is twice in the page cache`);
      if (page >= pages) wrong.push(`page ${page} of "${name}" is cached beyond the end`);
      held.add(frame);
    }
  for (const [address, first] of space.pool) {
    const backing = space.mappings.at(address)?.backing;
    if (backing?.kind !== "hugetlb") wrong.push(`a huge page is set aside for ${hex(address)}`);
    else for (let i = 0; i < pagesPerLevel(backing.level); i++) held.add(pfn(first + i));
  }
  return held;
}
