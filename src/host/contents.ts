import { type Hva, PAGE_SIZE, pfn } from "../x86";
import type { AddressSpace } from "./address-space";
import { FRAME } from "./frame-owners";
import { MARK } from "./mapping";

/**
 * What a read of the page would see, wherever it is: in a frame (live bytes), on the swap device, in a
 * file, or nowhere yet (zeros). Undefined where a read would fail. Changes nothing.
 */
export function contentsOf(space: AddressSpace, address: Hva): Uint8Array | undefined {
  const mapping = space.mappings.at(address);
  if (!mapping) return undefined;
  const index = mapping.indexOf(address);
  const { memory } = space;
  const frame = mapping.frame(index);
  if (frame !== undefined) return memory.frameBytes(frame);
  if (mapping.isPoisoned(index)) return undefined;
  if (mapping.isMarked(index, MARK.swapped)) return space.swap.get(mapping.addressOf(index));
  const { backing } = mapping;
  switch (backing.kind) {
    case "anonymous":
    case "hugetlb":
      return new Uint8Array(PAGE_SIZE);
    case "device":
      return memory.frameBytes(pfn(backing.first + index));
    case "file":
      return fileContents(space, backing.file, backing.firstPage + index);
  }
}

function fileContents(space: AddressSpace, name: string, page: number): Uint8Array | undefined {
  const file = space.files.get(name);
  if (!file || page >= file.pages) return undefined;
  const cached = file.cache.get(page);
  if (cached !== undefined)
    return space.owners.isFlagged(cached, FRAME.poisoned)
      ? undefined
      : space.memory.frameBytes(cached);
  return file.lost ? undefined : (file.read(page) ?? new Uint8Array(PAGE_SIZE));
}
