import { ByteReader } from "../byte-reader";
import { AT } from "./codes";
import type { Entry } from "./entry";

/** Addresses from `low` up to, not including, `high`. */
export interface AddressRange {
  readonly low: bigint;
  readonly high: bigint;
}

/** The code an entry covers: its low/high pair or its range list (DWARF 5, 2.17). Empty when it has none. */
export function rangesOf(entry: Entry): readonly AddressRange[] {
  const list = entry.attributes.get(AT.ranges);
  if (list) {
    const ranges = entry.unit.version >= 5 ? readList5(entry) : readList4(entry);
    return ranges.filter(({ low, high }) => low < high);
  }
  const low = entry.address(AT.lowPc);
  if (low === undefined) return [];
  const high = entry.address(AT.highPc) ?? low + (entry.constant(AT.highPc) ?? 0n);
  return high > low ? [{ low, high }] : [];
}

export const covers = (ranges: readonly AddressRange[], address: bigint): boolean =>
  ranges.some(({ low, high }) => address >= low && address < high);

/** `.debug_ranges`: pairs relative to the unit's base, or a new base behind all ones (DWARF 4, 2.17.3). */
function readList4(entry: Entry): AddressRange[] {
  const { unit } = entry;
  const reader = new ByteReader(unit.sections(".debug_ranges"), entry.offsetValue(AT.ranges) ?? -1);
  const allOnes = (1n << BigInt(8 * unit.addressSize)) - 1n;
  const ranges: AddressRange[] = [];
  let base = unit.root?.address(AT.lowPc) ?? 0n;
  for (;;) {
    const low = reader.unsigned(unit.addressSize);
    const high = reader.unsigned(unit.addressSize);
    if (reader.failed || (low === 0n && high === 0n)) return ranges;
    if (low === allOnes) base = high;
    else ranges.push({ low: base + low, high: base + high });
  }
}

/** Kinds of range list entry (DWARF 5, 7.25). */
const RLE = {
  end: 0,
  baseIndex: 1,
  startEndIndex: 2,
  startLengthIndex: 3,
  pair: 4,
  base: 5,
  startEnd: 6,
  startLength: 7,
} as const;

function readList5(entry: Entry): AddressRange[] {
  const { unit } = entry;
  const section = unit.sections(".debug_rnglists");
  const at = listOffset5(entry, AT.ranges, AT.rangeListsBase, section);
  const reader = new ByteReader(section, at ?? -1);
  const ranges: AddressRange[] = [];
  let base = unit.root?.address(AT.lowPc) ?? 0n;
  const indexed = (): bigint => entry.indexedAddress(reader.count()) ?? 0n;
  const plain = (): bigint => reader.unsigned(unit.addressSize);
  const add = (low: bigint, high: bigint): void => void ranges.push({ low, high });
  while (reader.more) {
    switch (reader.u8()) {
      case RLE.end:
        return ranges;
      case RLE.baseIndex:
        base = indexed();
        break;
      case RLE.base:
        base = plain();
        break;
      case RLE.startEndIndex:
        add(indexed(), indexed());
        break;
      case RLE.startEnd:
        add(plain(), plain());
        break;
      case RLE.startLengthIndex: {
        const low = indexed();
        add(low, low + reader.uleb());
        break;
      }
      case RLE.startLength: {
        const low = plain();
        add(low, low + reader.uleb());
        break;
      }
      case RLE.pair:
        add(base + reader.uleb(), base + reader.uleb());
        break;
      default:
        return ranges;
    }
  }
  return ranges;
}

/** Where a list of version 5 starts: given directly, or by its number in the unit's offset table (7.28, 7.29). */
export function listOffset5(
  entry: Entry,
  attribute: number,
  baseAttribute: number,
  section: Uint8Array,
): number | undefined {
  const value = entry.attributes.get(attribute);
  if (value?.class === "offset") return value.value;
  if (value?.class !== "index") return undefined;
  const { unit } = entry;
  const base = unit.root?.offsetValue(baseAttribute) ?? (unit.offsetSize === 8 ? 20 : 12);
  const reader = new ByteReader(section, base + value.value * unit.offsetSize);
  const offset = reader.offset(unit.offsetSize);
  return reader.failed ? undefined : base + offset;
}
