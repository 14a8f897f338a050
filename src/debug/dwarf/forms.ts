import { type ByteReader, textAt } from "../byte-reader";
import { FORM } from "./codes";
import type { DebugSections } from "./debug-sections";

/** How the values of one unit are encoded. */
export interface Encoding {
  readonly version: number;
  /** 4, or 8 in 64-bit DWARF (7.4). */
  readonly offsetSize: 4 | 8;
  readonly addressSize: number;
  /** Offset of the unit in its section: unit-relative references start here. */
  readonly unitOffset: number;
  readonly sections: DebugSections;
}

/** The value of an attribute, by class (DWARF 5, 7.5.5). Indexed forms are resolved when asked for. */
export type AttributeValue =
  | { readonly class: "address"; readonly value: bigint }
  | { readonly class: "constant"; readonly value: bigint }
  | { readonly class: "string"; readonly value: string }
  | { readonly class: "block"; readonly value: Uint8Array }
  | { readonly class: "flag"; readonly value: boolean }
  /** Offset in `.debug_info`. */
  | { readonly class: "reference"; readonly value: number }
  | { readonly class: "offset"; readonly value: number }
  | { readonly class: "index"; readonly of: IndexedClass; readonly value: number }
  /** Points into a file that Penumbra does not read (supplementary files, type signatures). */
  | { readonly class: "elsewhere" };

export type IndexedClass = "string" | "address" | "location list" | "range list";

type FormReader = (reader: ByteReader, encoding: Encoding) => AttributeValue;

const address = (value: bigint): AttributeValue => ({ class: "address", value });
const constant = (value: bigint): AttributeValue => ({ class: "constant", value });
const block = (value: Uint8Array): AttributeValue => ({ class: "block", value });
const reference = (value: number): AttributeValue => ({ class: "reference", value });
const index = (of: IndexedClass, value: number): AttributeValue => ({ class: "index", of, value });
/** Takes what was read, to move past it. */
const elsewhere = (_passed: number | bigint): AttributeValue => ({ class: "elsewhere" });
const text = (section: Uint8Array, offset: number): AttributeValue => ({
  class: "string",
  value: textAt(section, offset) ?? "",
});

const FORMS: Readonly<Record<number, FormReader>> = {
  [FORM.addr]: (r, e) => address(r.unsigned(e.addressSize)),
  [FORM.block1]: (r) => block(r.block(r.u8())),
  [FORM.block2]: (r) => block(r.block(r.u16())),
  [FORM.block4]: (r) => block(r.block(r.u32())),
  [FORM.block]: (r) => block(r.block(r.count())),
  [FORM.exprloc]: (r) => block(r.block(r.count())),
  [FORM.data1]: (r) => constant(BigInt(r.u8())),
  [FORM.data2]: (r) => constant(BigInt(r.u16())),
  [FORM.data4]: (r) => constant(BigInt(r.u32())),
  [FORM.data8]: (r) => constant(r.u64()),
  [FORM.data16]: (r) => block(r.block(16)),
  [FORM.sdata]: (r) => constant(r.sleb()),
  [FORM.udata]: (r) => constant(r.uleb()),
  [FORM.string]: (r) => ({ class: "string", value: r.text() }),
  [FORM.strp]: (r, e) => text(e.sections(".debug_str"), r.offset(e.offsetSize)),
  [FORM.lineStrp]: (r, e) => text(e.sections(".debug_line_str"), r.offset(e.offsetSize)),
  [FORM.flag]: (r) => ({ class: "flag", value: r.u8() !== 0 }),
  [FORM.flagPresent]: () => ({ class: "flag", value: true }),
  // DWARF 2 gave this form the size of an address.
  [FORM.refAddr]: (r, e) =>
    reference(r.offset(e.version <= 2 && e.addressSize === 8 ? 8 : e.offsetSize)),
  [FORM.ref1]: (r, e) => reference(e.unitOffset + r.u8()),
  [FORM.ref2]: (r, e) => reference(e.unitOffset + r.u16()),
  [FORM.ref4]: (r, e) => reference(e.unitOffset + r.u32()),
  [FORM.ref8]: (r, e) => reference(e.unitOffset + r.offset(8)),
  [FORM.refUdata]: (r, e) => reference(e.unitOffset + r.count()),
  [FORM.secOffset]: (r, e) => ({ class: "offset", value: r.offset(e.offsetSize) }),
  [FORM.strx]: (r) => index("string", r.count()),
  [FORM.strx1]: (r) => index("string", r.u8()),
  [FORM.strx2]: (r) => index("string", r.u16()),
  [FORM.strx3]: (r) => index("string", r.u24()),
  [FORM.strx4]: (r) => index("string", r.u32()),
  [FORM.addrx]: (r) => index("address", r.count()),
  [FORM.addrx1]: (r) => index("address", r.u8()),
  [FORM.addrx2]: (r) => index("address", r.u16()),
  [FORM.addrx3]: (r) => index("address", r.u24()),
  [FORM.addrx4]: (r) => index("address", r.u32()),
  [FORM.loclistx]: (r) => index("location list", r.count()),
  [FORM.rnglistx]: (r) => index("range list", r.count()),
  [FORM.refSig8]: (r) => elsewhere(r.u64()),
  [FORM.refSup4]: (r) => elsewhere(r.u32()),
  [FORM.refSup8]: (r) => elsewhere(r.u64()),
  [FORM.strpSup]: (r, e) => elsewhere(r.offset(e.offsetSize)),
};

/** Reads one attribute; a form that is not known fails the reader, as its length is not known either. */
export function readForm(
  reader: ByteReader,
  form: number,
  implicit: bigint,
  encoding: Encoding,
): AttributeValue {
  if (form === FORM.implicitConst) return constant(implicit);
  let actual = form;
  while (actual === FORM.indirect && !reader.failed) actual = reader.count();
  const read = FORMS[actual];
  if (read) return read(reader, encoding);
  reader.fail();
  return elsewhere(actual);
}
