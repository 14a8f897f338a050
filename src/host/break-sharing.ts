import type { AddressSpace } from "./address-space";
import { MARK, type Mapping } from "./mapping";
import type { FaultInFailure } from "./page-cache";

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
  space.notifiers.changingPte({ address, frame, writable: true }, () => {
    space.remap(mapping, index, frame);
    mapping.clear(index, MARK.protected);
    space.trace.emit("host_cow", { hva: address, old, pfn: frame });
  });
  return undefined;
}
