import { GUEST_HVA } from "../../src/host";
import type { MemoryRegion } from "../../src/kvm";
import { gpa, hva } from "../../src/x86";

export const MIB = 0x100000;

/** Slot 1: a MiB at 64 MiB over the beginning of guest memory, but for what is said. */
export const region = (change: Partial<MemoryRegion>): MemoryRegion => ({
  slot: 1,
  flags: 0,
  guestPhysAddr: gpa(64 * MIB),
  memorySize: MIB,
  userspaceAddr: hva(GUEST_HVA),
  ...change,
});
