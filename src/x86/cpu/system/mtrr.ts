import { S } from "../layout";
import type { MsrRow } from "./msr-row";
import { field } from "./msr-row";

/** Memory types a register may name: UC, WC, WT, WP, WB (SDM 3A table 11-8). */
const isMemoryType = (value: bigint): boolean => [0n, 1n, 4n, 5n, 6n].includes(value);

/** PAT adds UC- (SDM 3A 11.12.2). */
export const isPatValue = (value: bigint): boolean =>
  bytesOf(value).every((byte) => isMemoryType(byte) || byte === 7n);

const bytesOf = (value: bigint): bigint[] =>
  Array.from({ length: 8 }, (_, n) => (value >> BigInt(8 * n)) & 0xffn);

const slot = (n: number): number => S.mtrr + 8 * n;
const aboveMemory = (value: bigint, bits: number): boolean => value >> BigInt(bits) !== 0n;

const VARIABLE = 8;
const FIXED = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
/** 8 variable ranges, fixed ranges, write combining (SDM 3A 11.11.1). */
const CAPABILITIES = BigInt(VARIABLE) | (1n << 8n) | (1n << 10n);

/**
 * Memory type range registers: kept as written and read back. Types change nothing here, for there
 * are no caches.
 */
export const MTRRS: readonly (readonly [index: number, row: MsrRow])[] = [
  [0xfe, { feature: "mtrr", read: () => CAPABILITIES }],
  [
    0x2ff,
    field(S.mtrrDefType, {
      feature: "mtrr",
      legal: (value) => (value & ~0xcffn) === 0n && isMemoryType(value & 0xffn),
    }),
  ],
  ...Array.from({ length: VARIABLE }, (_, n) => variableRange(n)).flat(),
  ...FIXED.map((index, n): readonly [number, MsrRow] => [
    index,
    field(slot(2 * VARIABLE + n), {
      feature: "mtrr",
      legal: (value) => bytesOf(value).every(isMemoryType),
    }),
  ]),
];

function variableRange(n: number): readonly (readonly [number, MsrRow])[] {
  return [
    [
      0x200 + 2 * n,
      field(slot(2 * n), {
        feature: "mtrr",
        legal: (value, { model }) =>
          (value & 0xf00n) === 0n &&
          isMemoryType(value & 0xffn) &&
          !aboveMemory(value, model.physicalBits),
      }),
    ],
    [
      0x201 + 2 * n,
      field(slot(2 * n + 1), {
        feature: "mtrr",
        legal: (value, { model }) =>
          (value & 0x7ffn) === 0n && !aboveMemory(value, model.physicalBits),
      }),
    ],
  ];
}
