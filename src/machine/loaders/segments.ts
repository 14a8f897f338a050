import { hex, type Refusal, refuse } from "../refusal";
import type { Piece } from "./boot-image";
import type { ElfFile } from "./elf";

/** An executable's segments at their physical addresses. RAM is zero, so the zero parts need no bytes. */
export interface PlacedSegments {
  readonly kind: "placed";
  readonly pieces: readonly Piece[];
  /** First byte after the highest segment, its zero part included. */
  readonly end: number;
  /** The entry point as a physical address. */
  readonly entry: number;
  /** True when some segment has memory in the range. */
  overlaps(base: number, length: number): boolean;
}

/** Places by p_paddr; an entry given as a virtual address is translated through its segment. */
export function placeSegments(elf: ElfFile, ramBytes: number): PlacedSegments | Refusal {
  const { name, segments } = elf;
  if (segments.length === 0) return refuse(`${name}: no segment to load: link it as an executable`);
  let end = 0;
  for (const [i, { physical, memorySize }] of segments.entries()) {
    const top = physical + memorySize;
    if (top > BigInt(ramBytes))
      return refuse(
        `${name}: segment ${i} at gpa ${hex(physical)}–${hex(top)} lies outside guest memory (${hex(ramBytes)} bytes): give more --memory or link it lower`,
      );
    end = Math.max(end, Number(top));
  }
  const entry = physicalEntry(elf);
  if (entry === undefined)
    return refuse(
      `${name}: the entry point ${hex(elf.entry)} lies in no segment: check the linker script's ENTRY`,
    );
  return {
    kind: "placed",
    pieces: segments.map(({ physical, bytes }) => ({ gpa: Number(physical), bytes })),
    end,
    entry,
    overlaps: (base, length) =>
      segments.some(
        ({ physical, memorySize }) =>
          physical < BigInt(base + length) && BigInt(base) < physical + memorySize,
      ),
  };
}

function physicalEntry({ entry, segments }: ElfFile): number | undefined {
  for (const { virtual, physical, memorySize } of segments)
    if (entry >= virtual && entry < virtual + memorySize) return Number(entry - virtual + physical);
  const direct = segments.some((s) => entry >= s.physical && entry < s.physical + s.memorySize);
  return direct ? Number(entry) : undefined;
}
