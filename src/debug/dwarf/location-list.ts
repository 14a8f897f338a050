import { ByteReader } from "../byte-reader";
import { AT } from "./codes";
import type { Entry } from "./entry";
import { listOffset5 } from "./ranges";

/** The expression itself, or the one of the location list that is valid at `pc` (DWARF 5, 2.6). */
export function expressionFor(entry: Entry, attribute: number, pc: bigint): Uint8Array | undefined {
  const value = entry.attributes.get(attribute);
  if (value === undefined) return undefined;
  if (value.class === "block") return value.value;
  return entry.unit.version >= 5
    ? fromList5(entry, attribute, pc)
    : fromList4(entry, attribute, pc);
}

function fromList4(entry: Entry, attribute: number, pc: bigint): Uint8Array | undefined {
  const { unit } = entry;
  const reader = new ByteReader(unit.sections(".debug_loc"), entry.offsetValue(attribute) ?? -1);
  const allOnes = (1n << BigInt(8 * unit.addressSize)) - 1n;
  let base = unit.root?.address(AT.lowPc) ?? 0n;
  for (;;) {
    const low = reader.unsigned(unit.addressSize);
    const high = reader.unsigned(unit.addressSize);
    if (reader.failed || (low === 0n && high === 0n)) return undefined;
    if (low === allOnes) {
      base = high;
      continue;
    }
    const expression = reader.block(reader.u16());
    if (pc >= base + low && pc < base + high) return expression;
  }
}

/** Kinds of location list entry (DWARF 5, 7.29; 9 is GNU's view pair). */
const LLE = {
  end: 0,
  baseIndex: 1,
  startEndIndex: 2,
  startLengthIndex: 3,
  pair: 4,
  default: 5,
  base: 6,
  startEnd: 7,
  startLength: 8,
  viewPair: 9,
} as const;

function fromList5(entry: Entry, attribute: number, pc: bigint): Uint8Array | undefined {
  const { unit } = entry;
  const section = unit.sections(".debug_loclists");
  const at = listOffset5(entry, attribute, AT.locationListsBase, section);
  const reader = new ByteReader(section, at ?? -1);
  let base = unit.root?.address(AT.lowPc) ?? 0n;
  let fallback: Uint8Array | undefined;
  const indexed = (): bigint => entry.indexedAddress(reader.count()) ?? 0n;
  const plain = (): bigint => reader.unsigned(unit.addressSize);
  while (reader.more) {
    let low = 0n;
    let high = 0n;
    const kind = reader.u8();
    switch (kind) {
      case LLE.baseIndex:
        base = indexed();
        continue;
      case LLE.base:
        base = plain();
        continue;
      case LLE.viewPair:
        reader.uleb();
        reader.uleb();
        continue;
      case LLE.startEndIndex:
        low = indexed();
        high = indexed();
        break;
      case LLE.startLengthIndex:
        low = indexed();
        high = low + reader.uleb();
        break;
      case LLE.pair:
        low = base + reader.uleb();
        high = base + reader.uleb();
        break;
      case LLE.startEnd:
        low = plain();
        high = plain();
        break;
      case LLE.startLength:
        low = plain();
        high = low + reader.uleb();
        break;
      case LLE.default:
        break;
      default:
        return fallback; // the end, or damage
    }
    const expression = reader.block(reader.count());
    if (kind === LLE.default) fallback = expression;
    else if (pc >= low && pc < high) return expression;
  }
  return fallback;
}
