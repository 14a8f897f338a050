import type { ByteReader } from "../byte-reader";

/** The length that starts a unit of any section, and what it says of the unit's offsets (DWARF 5, 7.4). */
export interface UnitExtent {
  /** Reads the unit alone, from behind its length. */
  readonly reader: ByteReader;
  readonly offsetSize: 4 | 8;
  readonly start: number;
}

/** Moves `section` past the unit; `undefined` when its length runs out of the section. */
export function readExtent(section: ByteReader): UnitExtent | undefined {
  const start = section.at;
  let length = section.u32();
  let offsetSize: 4 | 8 = 4;
  if (length === 0xffffffff) {
    offsetSize = 8;
    length = section.offset(8);
  }
  const reader = section.slice(length);
  return section.failed || reader.failed ? undefined : { reader, offsetSize, start };
}
