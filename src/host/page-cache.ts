import type { Pfn } from "../x86";
import type { AddressSpace } from "./address-space";
import { FRAME } from "./frame-owners";
import type { HostFile } from "./host-file";
import type { Mapping } from "./mapping";

/** Why a page cannot be made resident. */
export type FaultInFailure = "out-of-memory" | "past-end-of-file" | "file-lost" | "poisoned";

/** The frame of a page of a file, read from its disk if need be. */
export function cachePage(
  space: AddressSpace,
  mapping: Mapping,
  name: string,
  page: number,
  index: number,
): Pfn | FaultInFailure {
  const file = space.files.get(name);
  if (!file) return "file-lost";
  if (page >= file.pages) return "past-end-of-file";
  const cached = file.cache.get(page);
  if (cached !== undefined)
    return space.owners.isFlagged(cached, FRAME.poisoned) ? "poisoned" : cached;
  if (file.lost) return "file-lost";
  const frame = space.allocate(mapping.addressOf(index));
  if (frame === undefined) return "out-of-memory";
  const bytes = file.read(page);
  if (bytes) space.memory.frameBytes(frame).set(bytes);
  file.cache.set(page, frame);
  space.hold(frame);
  return frame;
}

/** Takes a page that nobody maps out of the cache; the file gets what was written to it. */
export function dropFromCache(space: AddressSpace, file: HostFile, page: number): void {
  const frame = file.cache.get(page);
  if (frame === undefined) return;
  if (space.owners.isFlagged(frame, FRAME.dirty))
    file.write(page, space.memory.frameBytes(frame).slice());
  file.cache.delete(page);
  space.unhold(frame);
}
