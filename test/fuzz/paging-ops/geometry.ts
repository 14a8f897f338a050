import type { Mode } from "./setup";

/**
 * Which entries of the tables a run uses, by mode, top level first. Few of them, so that tables are
 * shared and used again; both ends of a table and, in 32-bit mode, all quadrants are among them.
 */
export interface Geometry {
  readonly mode: Mode;
  readonly entryBytes: 4 | 8;
  /** Entries of a table in use, top level first; the last list is level 1. */
  readonly indexes: readonly (readonly number[])[];
  /** Lowest address bit each level's index stands for, top first. */
  readonly shifts: readonly number[];
  /** Width of a linear address; bits above are copies of the highest. */
  readonly width: number;
  /** Entry of the root below which the kernel maps all of RAM. */
  readonly kernelIndex: number;
}

const LAST = [0, 1, 5, 511];

const GEOMETRIES: Readonly<Record<Exclude<Mode, "none">, Geometry>> = {
  "32-bit": {
    mode: "32-bit",
    entryBytes: 4,
    indexes: [
      [0, 1, 300, 600],
      [0, 1, 511, 512, 1023],
    ],
    shifts: [22, 12],
    width: 32,
    kernelIndex: 768,
  },
  PAE: {
    mode: "PAE",
    entryBytes: 8,
    indexes: [[0, 1], [0, 1, 511], LAST],
    shifts: [30, 21, 12],
    width: 32,
    kernelIndex: 3,
  },
  "4-level": {
    mode: "4-level",
    entryBytes: 8,
    indexes: [[0, 1], [0, 1], [0, 1], LAST],
    shifts: [39, 30, 21, 12],
    width: 48,
    kernelIndex: 256,
  },
  "5-level": {
    mode: "5-level",
    entryBytes: 8,
    indexes: [[0, 1], [0, 1], [0, 1], [0, 1], LAST],
    shifts: [48, 39, 30, 21, 12],
    width: 57,
    kernelIndex: 320,
  },
};

export const geometryOf = (mode: Exclude<Mode, "none">): Geometry => GEOMETRIES[mode];

/** Number of entries of a table at `depth` (0 = root). */
export const entriesAt = (geometry: Geometry, depth: number): number =>
  geometry.mode === "PAE" && depth === 0 ? 4 : 4096 / geometry.entryBytes;

/** The linear address that these entries translate. */
export function addressOf(geometry: Geometry, indexes: readonly number[]): bigint {
  const { shifts, width } = geometry;
  const va = indexes.reduce((sum, index, i) => sum | (BigInt(index) << BigInt(shifts[i]!)), 0n);
  return width === 32 ? va : BigInt.asUintN(64, BigInt.asIntN(width, va));
}

/** Every page address that the entries in use can map. */
export function addressesOf(geometry: Geometry): readonly bigint[] {
  let paths: readonly (readonly number[])[] = [[]];
  for (const list of geometry.indexes)
    paths = paths.flatMap((path) => list.map((index) => [...path, index]));
  return paths.map((path) => addressOf(geometry, path));
}

/** Where the kernel sees gpa 0. */
export const kernelBase = (geometry: Geometry): bigint =>
  addressOf(geometry, [geometry.kernelIndex]);
