import type { ByteReader } from "../byte-reader";

const RELATIVE_TO_PLACE = 0x10;
const INDIRECT = 0x80;
const OMITTED = 0xff;

type Read = (reader: ByteReader, addressSize: number) => bigint;

/** `DW_EH_PE_*`, low four bits (LSB Core, 10.5.1). */
const FORMATS: Readonly<Record<number, Read>> = {
  0: (r, size) => r.unsigned(size),
  1: (r) => r.uleb(),
  2: (r) => BigInt(r.u16()),
  3: (r) => BigInt(r.u32()),
  4: (r) => r.u64(),
  9: (r) => r.sleb(),
  10: (r) => BigInt.asIntN(16, BigInt(r.u16())),
  11: (r) => BigInt.asIntN(32, BigInt(r.u32())),
  12: (r) => r.i64(),
};

/**
 * A pointer of `.eh_frame`. Relative to its own place or not at all; other bases and indirection do
 * not occur in static images and give `undefined`, as does an omitted pointer.
 */
export function readPointer(
  reader: ByteReader,
  encoding: number,
  addressSize: number,
  sectionAddress: bigint,
): bigint | undefined {
  if (encoding === OMITTED) return undefined;
  const place = sectionAddress + BigInt(reader.at);
  const value = FORMATS[encoding & 0x0f]?.(reader, addressSize);
  const base = encoding & 0x70;
  if (value === undefined || encoding & INDIRECT || (base !== 0 && base !== RELATIVE_TO_PLACE))
    return undefined;
  return BigInt.asUintN(8 * addressSize, value + (base === RELATIVE_TO_PLACE ? place : 0n));
}
