import { ByteReader } from "../byte-reader";
import { FORM } from "./codes";

export interface AttributeForm {
  readonly attribute: number;
  readonly form: number;
  /** The value itself, for `DW_FORM_implicit_const`. */
  readonly implicit: bigint;
}

/** One row of an abbreviation table (DWARF 5, 7.5.3). */
export interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeForm[];
}

/** The table at this offset of `.debug_abbrev`; `undefined` if it is cut short. */
export function readAbbreviations(
  section: Uint8Array,
  offset: number,
): ReadonlyMap<number, Abbreviation> | undefined {
  const reader = new ByteReader(section, offset);
  const table = new Map<number, Abbreviation>();
  for (;;) {
    const code = reader.count();
    if (reader.failed) return undefined;
    if (code === 0) return table;
    const tag = reader.count();
    const hasChildren = reader.u8() !== 0;
    const attributes: AttributeForm[] = [];
    for (;;) {
      const attribute = reader.count();
      const form = reader.count();
      if (reader.failed) return undefined;
      if (attribute === 0 && form === 0) break;
      const implicit = form === FORM.implicitConst ? reader.sleb() : 0n;
      attributes.push({ attribute, form, implicit });
    }
    table.set(code, { tag, hasChildren, attributes });
  }
}
