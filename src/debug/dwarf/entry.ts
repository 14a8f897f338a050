import { ByteReader, textAt } from "../byte-reader";
import { AT } from "./codes";
import type { AttributeValue, Encoding } from "./forms";

/** What an entry needs of its unit: the bases of the unit's indexed forms are in its root. */
export interface EntryUnit extends Encoding {
  readonly root: Entry | undefined;
}

/** A debugging information entry, with its attributes in the forms a debugger asks for. */
export class Entry {
  readonly children: Entry[] = [];

  constructor(
    readonly unit: EntryUnit,
    /** In `.debug_info`. */
    readonly offset: number,
    readonly tag: number,
    readonly attributes: ReadonlyMap<number, AttributeValue>,
    readonly parent: Entry | undefined,
  ) {}

  get name(): string | undefined {
    return this.text(AT.name);
  }

  text(attribute: number): string | undefined {
    const value = this.attributes.get(attribute);
    if (value?.class === "string") return value.value;
    if (value?.class !== "index" || value.of !== "string") return undefined;
    const { unit } = this;
    const base = unit.root?.offsetValue(AT.stringOffsetsBase) ?? (unit.offsetSize === 8 ? 16 : 8);
    const at = base + value.value * unit.offsetSize;
    const reader = new ByteReader(unit.sections(".debug_str_offsets"), at);
    const offset = reader.offset(unit.offsetSize);
    return reader.failed ? undefined : textAt(unit.sections(".debug_str"), offset);
  }

  address(attribute: number): bigint | undefined {
    const value = this.attributes.get(attribute);
    if (value?.class === "address") return value.value;
    return value?.class === "index" && value.of === "address"
      ? this.indexedAddress(value.value)
      : undefined;
  }

  /** Entry `index` of this unit's part of `.debug_addr`. */
  indexedAddress(index: number): bigint | undefined {
    const { unit } = this;
    const base = unit.root?.offsetValue(AT.addressBase) ?? 8;
    const reader = new ByteReader(unit.sections(".debug_addr"), base + index * unit.addressSize);
    const address = reader.unsigned(unit.addressSize);
    return reader.failed ? undefined : address;
  }

  constant(attribute: number): bigint | undefined {
    const value = this.attributes.get(attribute);
    return value?.class === "constant" ? value.value : undefined;
  }

  /** A constant small enough to be a count, a line or a size. */
  number(attribute: number): number | undefined {
    const value = this.constant(attribute);
    return value !== undefined && value >= 0n && value < 1n << 53n ? Number(value) : undefined;
  }

  /** An offset in another section: DWARF 2 and 3 wrote them as constants. */
  offsetValue(attribute: number): number | undefined {
    const value = this.attributes.get(attribute);
    return value?.class === "offset" ? value.value : this.number(attribute);
  }

  /** Offset in `.debug_info` of the entry this attribute points to. */
  reference(attribute: number): number | undefined {
    const value = this.attributes.get(attribute);
    return value?.class === "reference" ? value.value : undefined;
  }

  flag(attribute: number): boolean {
    const value = this.attributes.get(attribute);
    return value?.class === "flag" && value.value;
  }
}
