import { ByteReader } from "../byte-reader";
import type { CType, Member } from "../dwarf/type";
import { readBytes } from "./memory";
import type { Scope } from "./scope";
import {
  type AddressValue,
  addressIn,
  boolean,
  fault,
  field,
  integer,
  none,
  type RecordValue,
  type Value,
} from "./value";

/** Where a value's bytes come from: guest memory, or bytes that are at no address. */
export type Source =
  | { readonly kind: "memory"; readonly at: AddressValue }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array };

/** The value of a C object. Structs and arrays read their parts when those are looked at. */
export function cValue(scope: Scope, type: CType, source: Source): Value {
  const place = source.kind === "memory" ? { place: source.at, size: type.size } : {};
  if (type.kind === "struct") return { ...structValue(scope, type, source), ...place };
  if (type.kind === "array") {
    const text = characters(scope, type, source);
    const at = (index: number): Value =>
      cValue(scope, type.element, offsetBy(source, index * type.element.size));
    const list = { kind: "list", length: type.count, at } as const;
    return { ...list, ...(text === undefined ? {} : { summary: JSON.stringify(text) }), ...place };
  }
  const bytes = bytesOf(scope, source, type.size);
  if (typeof bytes === "string") return { ...fault(bytes), ...place };
  return { ...scalar(type, bytes), ...place };
}

/** A value for the bytes of a number, pointer or enumerator. */
function scalar(type: CType, bytes: Uint8Array): Value {
  if (type.kind === "opaque" || ![1, 2, 4, 8].includes(bytes.length)) {
    const hex = [...bytes.subarray(0, 16)].map((b) => b.toString(16).padStart(2, "0")).join(" ");
    return { kind: "text", value: `${type.name}: ${hex}` };
  }
  const raw = new ByteReader(bytes).unsigned(bytes.length);
  switch (type.kind) {
    case "pointer":
      return { ...addressIn("gva", raw), pointee: type.target };
    case "enumeration": {
      const meaning =
        type.values.get(raw) ?? type.values.get(BigInt.asUintN(64, signedOf(raw, type.size)));
      return { ...integer(raw), ...(meaning ? { meaning } : {}) };
    }
    case "integer": {
      if (type.shown === "boolean") return boolean(raw !== 0n);
      const number = type.signed
        ? { ...integer(signedOf(raw, type.size)), signed: true }
        : integer(raw);
      const shown = { ...number, shown: type.size === 8 && !type.signed ? "x" : "d" } as const;
      return type.shown === "character" && raw >= 32n && raw < 127n
        ? { ...shown, meaning: `'${String.fromCharCode(Number(raw))}'` }
        : shown;
    }
    default:
      return none();
  }
}

const signedOf = (raw: bigint, size: number): bigint => BigInt.asIntN(8 * size, raw);

function structValue(
  scope: Scope,
  type: CType & { readonly kind: "struct" },
  source: Source,
): RecordValue {
  const members = type.members();
  const fields = members.map((member) =>
    field(member.name, () => memberValue(scope, member, source)),
  );
  return { kind: "record", summary: type.name, fields };
}

function memberValue(scope: Scope, member: Member, source: Source): Value {
  const from = offsetBy(source, member.offset);
  const value = cValue(scope, member.type, from);
  const { bits } = member;
  if (!bits || value.kind !== "integer") return value;
  const raw = (value.value >> BigInt(bits.shift)) & ((1n << BigInt(bits.width)) - 1n);
  const number = value.signed
    ? { ...integer(BigInt.asIntN(bits.width, raw)), signed: true }
    : integer(raw);
  return number; // a bit field has no address of its own
}

function offsetBy(source: Source, offset: number): Source {
  if (source.kind === "bytes") return { kind: "bytes", bytes: source.bytes.subarray(offset) };
  return {
    kind: "memory",
    at: { ...source.at, value: BigInt.asUintN(64, source.at.value + BigInt(offset)) },
  };
}

function bytesOf(scope: Scope, source: Source, size: number): Uint8Array | string {
  if (source.kind === "memory") return readBytes(scope, source.at, size);
  return source.bytes.length >= size
    ? source.bytes.subarray(0, size)
    : "not all of it is known here";
}

/** Longest text shown of an array of characters. */
const TEXT = 200;

/** An array of printable characters up to its 0, as text. */
function characters(
  scope: Scope,
  type: CType & { readonly kind: "array" },
  source: Source,
): string | undefined {
  const { element, count } = type;
  if (element.kind !== "integer" || element.shown !== "character" || element.size !== 1)
    return undefined;
  const bytes = bytesOf(scope, source, Math.min(count, TEXT));
  if (typeof bytes === "string") return undefined;
  const end = bytes.indexOf(0);
  const shown = bytes.subarray(0, end < 0 ? bytes.length : end);
  const printable = shown.every((b) => (b >= 32 && b < 127) || b === 9 || b === 10);
  return printable ? String.fromCharCode(...shown) : undefined;
}
