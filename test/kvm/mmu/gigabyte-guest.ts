import assert from "node:assert/strict";
import { GUEST_HVA, ZONE_BASE } from "../../../src/host";
import { hva } from "../../../src/x86";
import { Guest, type GuestOptions } from "../guest";

/** Slot 1: a GiB at gpa 1 GiB, over one host page of that size. */
export const GIB = 0x40000000;
export const PAGES = 0x40000;
export const AT = hva(GUEST_HVA + GIB);

export function guestOver1G(options: GuestOptions = {}): Guest {
  const g = new Guest({ devicePages: PAGES, ...options });
  g.process.mmap(AT, GIB, {
    kind: "device",
    writable: true,
    first: ZONE_BASE.device,
    level: 3,
  });
  assert.equal(g.setSlot(1, PAGES, PAGES, AT), "create");
  return g;
}

/** Leaves of 4K, 2M and 1G. */
export const leaves = ({ vm }: Guest): number[] => [
  vm.stats.pages_4k,
  vm.stats.pages_2m,
  vm.stats.pages_1g,
];
