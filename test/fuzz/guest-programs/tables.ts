import * as at from "./layout";

const P = 1n;
const P_W = 3n;
const P_W_U = 7n;
const LARGE = 0x80n;
const USER_READ_ONLY = 5n;

/**
 * The tables a guest begins with, from the roots to the level-1 tables of the tested region, which begin
 * empty: the kernel's map of RAM, the same for ring 3 at `USER_ALIAS`, and the directory.
 */
export function initialTables(mode: at.PagedMode): Uint8Array {
  const [first] = at.ROOTS;
  const last = at.TABLES[at.TABLES.length - 1] ?? 0;
  const view = new DataView(new ArrayBuffer(last + 0x1000 - first));
  const bytes = at.entryBytes(mode);
  const set = (table: number, index: number, value: bigint): void => {
    const offset = table - first + bytes * index;
    if (bytes === 8) view.setBigUint64(offset, value, true);
    else view.setUint32(offset, Number(value), true);
  };
  let next = at.KERNEL_TABLES;
  const newTable = (): number => {
    next += 0x1000;
    return next - 0x1000;
  };
  /** Large pages over all of RAM, from an entry of the directory on. */
  const mapRam = (directory: number, index: number, flags: bigint): void => {
    for (let i = 0; i * at.partBytes(mode) < at.MEMORY; i++)
      set(directory, index + i, BigInt(i * at.partBytes(mode)) | flags | LARGE);
  };
  if (mode === "32-bit") {
    for (const root of at.ROOTS) {
      mapRam(root, 0, P_W);
      mapRam(root, at.USER_ALIAS >>> 22, USER_READ_ONLY);
      for (const [part, table] of at.TABLES.entries())
        set(root, (at.REGION >>> 22) + part, BigInt(table) | P_W_U);
    }
    return new Uint8Array(view.buffer);
  }
  const kernel = newTable();
  const user = newTable();
  mapRam(kernel, 0, P_W);
  mapRam(user, 0, USER_READ_ONLY);
  for (const [part, table] of at.TABLES.entries()) set(at.DIRECTORY, part, BigInt(table) | P_W_U);
  // A PDPTE of PAE paging has no flag but P.
  const flags = mode === "PAE" ? P : P_W_U;
  const pointers = (table: number): void => {
    set(table, 0, BigInt(kernel) | flags);
    set(table, at.REGION >>> 30, BigInt(at.DIRECTORY) | flags);
    set(table, at.USER_ALIAS >>> 30, BigInt(user) | flags);
  };
  if (mode === "PAE") {
    for (const root of at.ROOTS) pointers(root);
    return new Uint8Array(view.buffer);
  }
  const table = newTable();
  pointers(table);
  let top = table;
  for (let level = 4; level < (mode === "5-level" ? 5 : 4); level++) {
    const above = newTable();
    set(above, 0, BigInt(top) | P_W_U);
    top = above;
  }
  for (const root of at.ROOTS) set(root, 0, BigInt(top) | P_W_U);
  return new Uint8Array(view.buffer);
}

/** Entry of the directory that stands for a part of the tested region, in each root that has its own. */
export const directoryEntries = (mode: at.PagedMode, part: number): readonly number[] =>
  mode === "32-bit"
    ? at.ROOTS.map((root) => root + 4 * ((at.REGION >>> 22) + part))
    : [at.DIRECTORY + 8 * part];
