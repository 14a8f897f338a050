import { hva } from "../x86";
import type { AddressSpace } from "./address-space";
import type { HostFile } from "./host-file";
import { discardRange } from "./unmap";

/**
 * Gives a file another size. All that shows what lies beyond it goes, copies of private mappings too
 * (truncate_pagecache); touching that fails from now on.
 */
export function truncateFile(space: AddressSpace, file: HostFile, pages: number): void {
  for (const mapping of space.mappings.all) {
    const { backing } = mapping;
    if (backing.kind !== "file" || backing.file !== file.name) continue;
    const from = Math.max(0, pages - backing.firstPage);
    if (from < mapping.pages)
      discardRange(space, { start: mapping.addressOf(from), end: hva(mapping.end) });
  }
  for (const [page, frame] of [...file.cache])
    if (page >= pages) {
      file.cache.delete(page);
      space.unhold(frame);
    }
  file.truncate(pages);
}
