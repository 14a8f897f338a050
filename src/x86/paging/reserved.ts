import type { Format } from "./format";

/** What decides which bits of a present entry must be 0. */
export interface ReservedInputs {
  /** MAXPHYADDR, 32…52. */
  readonly physicalBits: number;
  readonly nx: boolean;
  /** CPUID.80000001H:EDX.Page1GB. */
  readonly gigabytePages: boolean;
  /** CPUID.01H:EDX.PSE36. */
  readonly pse36: boolean;
  /** AMD reserves bit 8 of PML4 and PML5 entries (APM 2 5.3.3); Intel ignores it. */
  readonly amd: boolean;
}

/** Masks as u32 halves at `[2 * (level + (bit 7 ? 8 : 0))]` and the next word. */
export type ReservedMasks = Uint32Array;

/** Position of the low half of the mask for an entry at `level` whose bit 7 is `bit7` (0 or 1). */
export const reservedAt = (level: number, bit7: number): number => 2 * (level + 8 * bit7);

/** Bits `low`…`high`; none when `high` is below `low`. */
export const bits = (low: number, high: number): bigint =>
  high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);
const bit = (n: number): bigint => bits(n, n);

/** Reserved bits by level and by bit 7 (SDM 3A 4.3 … 4.5, tables 4-4 … 4-20). */
export const reservedMasks = (format: Format, inputs: ReservedInputs): ReservedMasks =>
  maskTable(format, (level, bit7) =>
    format.entryBytes === 4
      ? short(format, inputs, level, bit7)
      : long(format, inputs, level, bit7),
  );

/** Fills a table of masks by level and bit 7. */
export function maskTable(
  format: Format,
  maskOf: (level: number, bit7: number) => bigint,
): ReservedMasks {
  const masks = new Uint32Array(32);
  for (let level = 1; level <= format.levels; level++)
    for (const bit7 of [0, 1]) {
      const mask = maskOf(level, bit7);
      masks[reservedAt(level, bit7)] = Number(mask & 0xffffffffn);
      masks[reservedAt(level, bit7) + 1] = Number(mask >> 32n);
    }
  return masks;
}

function short(format: Format, inputs: ReservedInputs, level: number, bit7: number): bigint {
  if (!bit7 || !format.large[level]) return 0n;
  return inputs.pse36 ? bits(17, 21) : bits(13, 21);
}

function long(format: Format, inputs: ReservedInputs, level: number, bit7: number): bigint {
  // The registers that hold PDPTEs were checked when they were loaded.
  if (format.rootInRegisters && level === format.levels) return 0n;
  let mask = bits(inputs.physicalBits, 51);
  if (format.mode === "PAE") mask |= bits(52, 62);
  if (!inputs.nx) mask |= bit(63);
  if (level >= 4) mask |= bit(7) | (inputs.amd ? bit(8) : 0n);
  if (level === 3 && !inputs.gigabytePages) mask |= bit(7);
  // Low frame bits of a large page, above PAT (bit 12).
  if (bit7 && level > 1 && format.large[level]) mask |= bits(13, 11 + 9 * (level - 1));
  return mask;
}

/** Reserved bits of a present PAE PDPTE; one that is set makes the load fault with #GP (SDM 3A table 4-8). */
export function pdpteReserved(physicalBits: number): bigint {
  return bits(1, 2) | bits(5, 8) | bits(physicalBits, 63);
}
