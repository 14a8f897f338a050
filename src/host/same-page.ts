import { PAGE_SIZE, type Pfn } from "../x86";
import { type AddressSpace, entryRange } from "./address-space";
import { FRAME } from "./frame-owners";
import { MARK, type Mapping } from "./mapping";

/** A frame with the same bytes that the page may share, or why there is none. */
export function findTwin(space: AddressSpace, mapping: Mapping, index: number): Pfn | undefined {
  const own = mapping.frame(index);
  if (own === undefined) return undefined;
  let twin: Pfn | undefined;
  for (const other of space.mappings.all) {
    if (other.backing.kind !== "anonymous") continue;
    for (let i = 0; i < other.pages; i++) {
      const frame = other.frame(i);
      if (frame === undefined || frame === own || other.level(i) > 1) continue;
      if (!hasSameBytes(space, own, frame)) continue;
      // A page that is merged already is preferred (the stable tree is searched first).
      if (space.owners.isFlagged(frame, FRAME.merged)) return frame;
      twin ??= frame;
    }
  }
  return twin;
}

/**
 * Same-page merging (KSM): the page comes to lie in the frame of another with the same bytes. Both are
 * write-protected; a write gives the writer a copy. False when one of them was written to or moved before
 * it was protected: bytes are compared after that (try_to_merge_one_page).
 */
export function mergeInto(
  space: AddressSpace,
  mapping: Mapping,
  index: number,
  twin: Pfn,
): boolean {
  const { owners, notifiers } = space;
  const own = mapping.frame(index);
  if (own === undefined) throw new Error("a page that is not resident cannot be merged");
  if (!owners.isFlagged(twin, FRAME.merged) && !shareFrame(space, twin)) return false;
  const { start } = entryRange(mapping, index);
  return notifiers.changingPte(
    { address: start, frame: twin, writable: false },
    () => {
      space.remap(mapping, index, twin);
      mapping.mark(index, MARK.protected);
      space.trace.emit("host_merge", { hva: start, old: own, pfn: twin });
    },
    () =>
      mapping.frame(index) === own &&
      owners.isFlagged(twin, FRAME.merged) &&
      hasSameBytes(space, own, twin),
  );
}

/** The one page that lies in the frame is protected, so that others may come to lie there too. */
function shareFrame({ owners, notifiers, mappings }: AddressSpace, frame: Pfn): boolean {
  const address = owners.one(frame);
  const mapping = address === undefined ? undefined : mappings.at(address);
  if (address === undefined || !mapping) throw new Error("the frame to share has no page");
  const index = mapping.indexOf(address);
  return notifiers.changingPte(
    { address, frame, writable: false },
    () => {
      owners.flag(frame, FRAME.merged);
      mapping.mark(index, MARK.protected);
    },
    () => mapping.frame(index) === frame,
  );
}

function hasSameBytes(space: AddressSpace, one: Pfn, two: Pfn): boolean {
  const { words } = space.memory;
  const a = space.memory.offsetOf(one) >>> 2;
  const b = space.memory.offsetOf(two) >>> 2;
  for (let i = 0; i < PAGE_SIZE / 4; i++) if (words[a + i] !== words[b + i]) return false;
  return true;
}
