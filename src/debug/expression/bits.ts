import { boolean, type Field, field, integer, type RecordValue } from "./value";

/** A named bit, or a run of bits from `bit` to `bit + width - 1`. */
export interface NamedBit {
  readonly bit: number;
  readonly width?: number;
  readonly id: string;
  /** In words: tooltips and spoken labels. */
  readonly name: string;
}

/** A number with named bits: it counts as the number, and each bit is a field. */
export function bitsValue(
  number: bigint,
  bits: readonly NamedBit[],
  more: readonly Field[] = [],
): RecordValue {
  const flags = flagsText(number, bits);
  const fields = bits.map((row) => field(row.id, () => bitValue(number, row)));
  const plain = `0x${number.toString(16)}`;
  return {
    kind: "record",
    summary: flags ? `${plain} ${flags}` : plain,
    fields: [...more, ...fields],
    number,
    flags,
  };
}

const bitValue = (number: bigint, { bit, width = 1 }: NamedBit) => {
  const value = (number >> BigInt(bit)) & ((1n << BigInt(width)) - 1n);
  return width === 1 ? boolean(value !== 0n) : integer(value);
};

/** Ids of the set bits in capitals, wider fields with their value: `P W U IOPL=3`. */
export function flagsText(number: bigint, bits: readonly NamedBit[]): string {
  return bits
    .map(({ bit, width = 1, id }) => {
      const value = (number >> BigInt(bit)) & ((1n << BigInt(width)) - 1n);
      if (value === 0n) return "";
      return width === 1 ? id.toUpperCase() : `${id.toUpperCase()}=${value}`;
    })
    .filter((word) => word !== "")
    .join(" ");
}
