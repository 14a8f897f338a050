import type { Pfn } from "../x86";
import { type AddressSpace, homeOf } from "./address-space";
import type { HostLevel } from "./backing";
import { MARK, type Mapping } from "./mapping";

/** Why a page cannot be made resident. */
export type FaultInFailure = "out-of-memory" | "past-end-of-file" | "file-lost";

/** Makes the page at an empty entry resident; undefined when it is. */
export function populate(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  write: boolean,
): FaultInFailure | undefined {
  const { kind } = mapping.backing;
  if (mapping.isMarked(index, MARK.swapped)) return swapIn(space, mapping, index, write);
  return kind === "file"
    ? populateFromFile(space, mapping, index, write)
    : populateZero(space, mapping, index, write);
}

/** A page that comes back has lost its place: so a stale copy of its old frame number shows. */
function swapIn(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  write: boolean,
): FaultInFailure | undefined {
  const address = mapping.addressOf(index);
  const bytes = space.swap.get(address);
  const frame = space.memory.allocateSpare("guest");
  if (frame === undefined) return "out-of-memory";
  if (!bytes) throw new Error(`hva 0x${address.toString(16)} is swapped, but not to the device`);
  space.memory.frameBytes(frame).set(bytes);
  space.swap.delete(address);
  space.install(mapping, index, frame);
  space.trace.emit("host_swap_in", { hva: address, pfn: frame, write });
  return undefined;
}

function populateZero(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  write: boolean,
): FaultInFailure | undefined {
  if (mapping.backing.kind === "anonymous" && mapping.backing.thp) {
    const { from, to } = mapping.block(index, 2);
    if (isEmpty(mapping, from, to)) {
      const first = space.memory.allocateRun(to - from, homeOf(mapping.addressOf(from)));
      if (first !== undefined) {
        arrive(space, mapping, from, first, 2, write);
        return undefined;
      }
    }
  }
  const frame = space.allocate(mapping.addressOf(index));
  if (frame === undefined) return "out-of-memory";
  arrive(space, mapping, index, frame, 1, write);
  return undefined;
}

/** Nothing of the block is resident or swapped, and all of it is in the mapping. */
function isEmpty(mapping: Mapping, from: number, to: number): boolean {
  if (from < 0 || to > mapping.pages) return false;
  for (let i = from; i < to; i++)
    if (mapping.frame(i) !== undefined || mapping.isMarked(i, MARK.swapped)) return false;
  return true;
}

function populateFromFile(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  write: boolean,
): FaultInFailure | undefined {
  const { backing } = mapping;
  if (backing.kind !== "file") throw new Error("not a mapping of a file");
  const cached = cachePage(space, mapping, backing.file, backing.firstPage + index, index);
  if (typeof cached === "string") return cached;
  const frame = backing.shared || !write ? cached : space.memory.allocateSpare("guest");
  if (frame === undefined) return "out-of-memory";
  if (frame !== cached) space.copy(cached, frame);
  arrive(space, mapping, index, frame, 1, write);
  if (!backing.shared && frame === cached) mapping.mark(index, MARK.protected);
  return undefined;
}

/** The frame of a page of a file, read from its disk if need be. */
function cachePage(
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
  if (cached !== undefined) return cached;
  if (file.lost) return "file-lost";
  const frame = space.allocate(mapping.addressOf(index));
  if (frame === undefined) return "out-of-memory";
  const bytes = file.read(page);
  if (bytes) space.memory.frameBytes(frame).set(bytes);
  file.cache.set(page, frame);
  space.hold(frame);
  return frame;
}

function arrive(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  frame: Pfn,
  level: HostLevel,
  write: boolean,
): void {
  space.install(mapping, index, frame, level);
  space.trace.emit("host_fault_in", {
    hva: mapping.addressOf(index),
    pfn: frame,
    level,
    write,
  });
}

/**
 * A write to a page that others see: it moves to a frame of its own (do_wp_page). Those who copy the
 * page table hear of it, as the old frame must not be used for this page any more.
 */
export function breakSharing(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
): FaultInFailure | undefined {
  const old = mapping.frame(index);
  const frame = space.memory.allocateSpare("guest");
  if (frame === undefined || old === undefined) return "out-of-memory";
  const address = mapping.addressOf(index);
  space.copy(old, frame);
  space.notifiers.changingPte(address, frame, true, () => {
    space.remap(mapping, index, frame);
    mapping.clear(index, MARK.protected);
    space.trace.emit("host_cow", { hva: address, old, pfn: frame });
  });
  return undefined;
}
