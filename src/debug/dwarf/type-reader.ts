import { ByteReader } from "../byte-reader";
import { AT, ENCODING, TAG } from "./codes";
import type { DebugInfo } from "./debug-info";
import type { Entry } from "./entry";
import type { CType, Member } from "./type";

const VOID: CType = { kind: "opaque", name: "void", size: 1 };
const DAMAGED: CType = { kind: "opaque", name: "?", size: 1 };
/** Nesting of types followed; only a damaged file nests deeper. */
const DEPTH = 32;

/** The type that `DW_AT_type` of an entry names; `void` when it has none. */
export function typeOf(info: DebugInfo, entry: Entry): CType {
  return typeAt(info, entry, 0);
}

function typeAt(info: DebugInfo, entry: Entry, depth: number): CType {
  const owner = info.having(entry, AT.type);
  if (!owner) return VOID;
  const target = info.target(owner, AT.type);
  return target && depth < DEPTH ? readType(info, target, depth + 1) : DAMAGED;
}

function readType(info: DebugInfo, entry: Entry, depth: number): CType {
  const size = entry.number(AT.byteSize) ?? 0;
  switch (entry.tag) {
    case TAG.baseType:
      return baseType(entry, size);
    case TAG.enumerationType:
      return {
        kind: "enumeration",
        name: `enum ${entry.name ?? ""}`.trim(),
        size,
        values: enumerators(entry),
      };
    case TAG.pointerType: {
      const target = (): CType => typeAt(info, entry, 0);
      return {
        kind: "pointer",
        name: pointerName(info, entry),
        size: size || entry.unit.addressSize,
        target,
      };
    }
    case TAG.structureType:
    case TAG.classType:
    case TAG.unionType: {
      const word = entry.tag === TAG.unionType ? "union" : "struct";
      const name = `${word} ${entry.name ?? "{…}"}`;
      return { kind: "struct", name, size, members: () => members(info, entry) };
    }
    case TAG.arrayType:
      return arrayType(info, entry, depth);
    case TAG.typedef: {
      const type = typeAt(info, entry, depth);
      return { ...type, name: entry.name ?? type.name };
    }
    case TAG.constType:
    case TAG.volatileType:
    case TAG.restrictType:
    case TAG.atomicType:
      return typeAt(info, entry, depth);
    default:
      return {
        kind: "opaque",
        name: entry.tag === TAG.subroutineType ? "function" : (entry.name ?? "?"),
        size: size || 1,
      };
  }
}

function baseType(entry: Entry, size: number): CType {
  const name = entry.name ?? "?";
  const encoding = entry.number(AT.encoding) ?? 0;
  if (encoding === ENCODING.float || size > 8 || size < 1)
    return { kind: "opaque", name, size: size || 1 };
  const signed = encoding === ENCODING.signed || encoding === ENCODING.signedChar;
  const character =
    encoding === ENCODING.signedChar ||
    encoding === ENCODING.unsignedChar ||
    encoding === ENCODING.utf;
  const shown = encoding === ENCODING.boolean ? "boolean" : character ? "character" : "number";
  return { kind: "integer", name, size, signed, shown };
}

function enumerators(entry: Entry): ReadonlyMap<bigint, string> {
  const values = new Map<bigint, string>();
  for (const child of entry.children) {
    const value = child.constant(AT.constValue);
    if (child.tag === TAG.enumerator && value !== undefined)
      values.set(BigInt.asUintN(64, value), child.name ?? "?");
  }
  return values;
}

/** The pointer's type in words, without reading what a struct holds: it may hold the pointer. */
function pointerName(info: DebugInfo, entry: Entry): string {
  let stars = "";
  let at: Entry | undefined = entry;
  for (let step = 0; at && step < DEPTH; step++) {
    if (at.tag === TAG.pointerType) stars += "*";
    else if (at.name !== undefined) {
      const word =
        at.tag === TAG.structureType ? "struct " : at.tag === TAG.unionType ? "union " : "";
      return `${word}${at.name} ${stars}`;
    } else if (at.tag === TAG.subroutineType) return `function ${stars}`;
    at = info.target(at, AT.type);
  }
  return `void ${stars}`;
}

function arrayType(info: DebugInfo, entry: Entry, depth: number): CType {
  const counts = entry.children
    .filter((child) => child.tag === TAG.subrangeType)
    .map((range) => {
      const bound = range.number(AT.upperBound);
      return range.number(AT.count) ?? (bound === undefined ? 0 : bound + 1);
    });
  let type = typeAt(info, entry, depth);
  const dimensions = counts.map((count) => `[${count || ""}]`);
  const name = type.name;
  // The last index runs fastest: build from the innermost dimension out.
  for (let i = counts.length - 1; i >= 0; i--) {
    const count = counts[i] ?? 0;
    const size = count * type.size;
    type = {
      kind: "array",
      name: `${name}${dimensions.slice(i).join("")}`,
      size,
      count,
      element: type,
    };
  }
  return type;
}

function members(info: DebugInfo, struct: Entry): readonly Member[] {
  return struct.children
    .filter((child) => child.tag === TAG.member)
    .map((child) => {
      const type = typeOf(info, child);
      const width = child.number(AT.bitSize);
      const name = child.name ?? "(anonymous)";
      if (width === undefined) return { name, offset: memberOffset(child), type };
      const bit = bitStart(child, width, type.size);
      // Read the bit field from the aligned unit of its declared type that it starts in.
      const offset = Math.floor(bit / (8 * type.size)) * type.size;
      return { name, offset, type, bits: { shift: bit - 8 * offset, width } };
    });
}

/**
 * First bit of a bit field, from the start of the struct. DWARF 2 and 3, and gcc in version 4, count
 * from the high end of a storage unit (DWARF 3, 5.6.6).
 */
function bitStart(member: Entry, width: number, typeSize: number): number {
  const start = member.number(AT.dataBitOffset);
  if (start !== undefined) return start;
  const storage = 8 * (member.number(AT.byteSize) ?? typeSize);
  const fromTop = member.number(AT.bitOffset) ?? storage - width;
  return 8 * memberOffset(member) + storage - fromTop - width;
}

/** A constant, or in DWARF 2 the expression `DW_OP_plus_uconst n`. */
function memberOffset(member: Entry): number {
  const value = member.attributes.get(AT.dataMemberLocation);
  if (value?.class !== "block") return member.number(AT.dataMemberLocation) ?? 0;
  const reader = new ByteReader(value.value);
  return reader.u8() === 0x23 ? reader.count() : 0;
}
