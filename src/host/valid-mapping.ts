import { type Hva, PAGE_SIZE, pagesPerLevel } from "../x86";
import type { AddressSpace } from "./address-space";
import type { Backing } from "./backing";
import { at, hex } from "./refusal";

/** User addresses end here (x86-64, 4-level host). */
const HVA_LIMIT = 2 ** 47;

/** What is wrong with a range that is to be mapped or unmapped; undefined when nothing is. */
export function wrongRange(start: Hva, size: number): string | undefined {
  if (start % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0 || size <= 0)
    return `${at(start)}, size ${hex(size)}: both must be multiples of 0x1000, and the size not zero`;
  if (start < PAGE_SIZE || start + size > HVA_LIMIT)
    return `${at(start)}, size ${hex(size)} is not inside 0x1000 … ${hex(HVA_LIMIT)}: choose another address`;
  return undefined;
}

/** Why the backing cannot lie there; undefined when it can. */
export function whyNotMappable(
  space: AddressSpace,
  start: Hva,
  size: number,
  backing: Backing,
): string | undefined {
  switch (backing.kind) {
    case "anonymous":
      return undefined;
    case "file":
      return space.files.has(backing.file)
        ? undefined
        : `${at(start)}: there is no file "${backing.file}": create it first`;
    case "hugetlb": {
      const huge = PAGE_SIZE * pagesPerLevel(backing.level);
      return start % huge === 0 && size % huge === 0
        ? undefined
        : `${at(start)}, size ${hex(size)}: both must be multiples of the huge page's ${hex(huge)}`;
    }
    case "device": {
      const { device } = space.memory.zones;
      const last = backing.first + size / PAGE_SIZE - 1;
      return device.offsetOf(backing.first) >= 0 && last < device.first + device.pages
        ? undefined
        : `${at(start)}: frames ${hex(backing.first)} to ${hex(last)} are not all of a device: give the host more device memory`;
    }
  }
}
