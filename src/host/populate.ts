import { type Pfn, pfn } from "../x86";
import { type AddressSpace, homeOf } from "./address-space";
import type { HostLevel } from "./backing";
import { MARK, type Mapping } from "./mapping";
import { cachePage, type FaultInFailure } from "./page-cache";

/** Makes the page at an empty entry resident; undefined when it is. */
export function populate(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  write: boolean,
): FaultInFailure | undefined {
  if (mapping.isPoisoned(index)) return "poisoned";
  if (mapping.isMarked(index, MARK.swapped)) return swapIn(space, mapping, index, write);
  switch (mapping.backing.kind) {
    case "file":
      return populateFromFile(space, mapping, index, write);
    case "anonymous":
      return populateZero(space, mapping, index, write);
    case "hugetlb":
      return populateFromPool(space, mapping, index, write);
    case "device":
      return populateFromDevice(space, mapping, index, write);
  }
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
  const { backing } = mapping;
  if (backing.kind === "anonymous" && backing.thp) {
    const { from, to } = mapping.block(index, 2);
    if (canHold(mapping, from, to)) {
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

/** All of the block is in the mapping, and nothing of it is resident, poisoned or swapped. */
function canHold(mapping: Mapping, from: number, to: number): boolean {
  if (from < 0 || to > mapping.pages) return false;
  for (let i = from; i < to; i++)
    if (mapping.heldFrame(i) !== undefined || mapping.isMarked(i, MARK.swapped)) return false;
  return true;
}

function populateFromPool(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  write: boolean,
): FaultInFailure | undefined {
  const { backing } = mapping;
  if (backing.kind !== "hugetlb") throw new Error("not a mapping of the huge page pool");
  const { from, to } = mapping.block(index, backing.level);
  const address = mapping.addressOf(from);
  const first = space.pool.get(address);
  if (first === undefined) return "out-of-memory";
  space.pool.delete(address);
  arrive(space, mapping, from, first, backing.level, write);
  for (let i = 0; i < to - from; i++) space.unhold(pfn(first + i));
  return undefined;
}

/** The largest entry, up to the level that is allowed, that is aligned on both sides. */
function populateFromDevice(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  write: boolean,
): undefined {
  const { backing } = mapping;
  if (backing.kind !== "device") throw new Error("not a mapping of a device");
  let { level } = backing;
  while (level > 1) {
    const { from, to } = mapping.block(index, level);
    const isAligned = (backing.first + from) % (to - from) === 0;
    if (isAligned && canHold(mapping, from, to)) break;
    level = level === 3 ? 2 : 1;
  }
  const { from } = mapping.block(index, level);
  arrive(space, mapping, from, pfn(backing.first + from), level, write);
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
