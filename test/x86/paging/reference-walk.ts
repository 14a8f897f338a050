import { ACCESS, CR0, CR4, EFER, type PagingControls, type PagingFeatures } from "../../../src/x86";
import type { Tables as AllTables } from "./tables";

/** Memory of tables as this model uses it. */
export type Tables = Pick<AllTables, "peek" | "set">;

/**
 * A second model of address translation, for tests alone: all in bigint, each mode written out from
 * the tables of SDM 3A 4.3 (32-bit), 4.4 (PAE) and 4.5 (4-level, 5-level), rights from 4.6, error
 * codes from 4.7, A and D from 4.8. It shares nothing with the walker but the register bit names.
 */
export type Outcome =
  | { readonly frame: number; readonly level: number; readonly dirty: boolean }
  | { readonly error: number };

interface Step {
  readonly at: number | undefined;
  readonly entry: bigint;
  readonly leaf: boolean;
}
type Path = { readonly steps: readonly Step[]; readonly physical: bigint; readonly level: number };

/** `ac` is EFLAGS.AC; A and D bits are set in `tables` as the processor would. */
export function referenceTranslate(
  tables: Tables,
  controls: PagingControls,
  features: PagingFeatures,
  root: number | readonly bigint[],
  va: bigint,
  access: number,
  ac: boolean,
): Outcome {
  const on = (register: bigint, bit: bigint) => (register & bit) !== 0n;
  const paging = on(controls.cr0, CR0.PG);
  if (!paging) return { frame: Number((va & 0xffffffffn) >> 12n), level: 1, dirty: true };
  const long = on(controls.efer, EFER.LMA);
  const pae = on(controls.cr4, CR4.PAE);
  const nx = pae && on(controls.efer, EFER.NX);
  const user = (access & ACCESS.user) !== 0;
  const writing = (access & ACCESS.write) !== 0;
  const fetching = (access & ACCESS.fetch) !== 0;
  const reported =
    (writing ? 2 : 0) |
    (user ? 4 : 0) |
    (fetching && (nx || on(controls.cr4, CR4.SMEP)) ? 0x10 : 0);

  const path = long
    ? longPath(tables, features, nx, on(controls.cr4, CR4.LA57) ? 5 : 4, root as number, va)
    : pae
      ? paePath(tables, features, nx, root as readonly bigint[], va)
      : shortPath(tables, features, on(controls.cr4, CR4.PSE), root as number, va);
  if (path === "absent") return { error: reported };
  if (path === "reserved") return { error: reported | 9 };

  // 4.6.1: a page is a user page, writable, … when every entry says so. PAE PDPTEs say nothing.
  const speaking = path.steps.filter((step) => step.at !== undefined);
  const userPage = speaking.every(({ entry }) => on(entry, 4n));
  const writable = speaking.every(({ entry }) => on(entry, 2n));
  const noExecute = nx && speaking.some(({ entry }) => entry >> 63n === 1n);
  const explicitAc = ac && (access & ACCESS.implicit) === 0;
  let allowed: boolean;
  if (user) allowed = userPage && (!writing || writable) && (!fetching || !noExecute);
  else if (fetching) allowed = !noExecute && !(on(controls.cr4, CR4.SMEP) && userPage);
  else {
    const smap = on(controls.cr4, CR4.SMAP) && userPage && !explicitAc;
    allowed = !smap && (!writing || writable || !on(controls.cr0, CR0.WP));
  }
  if (!allowed) return { error: reported | 1 };

  for (const { at, entry, leaf } of path.steps) {
    if (at === undefined) continue;
    const marked = entry | 0x20n | (leaf && writing ? 0x40n : 0n);
    tables.set(at, marked, long || pae ? 8 : 4);
  }
  const last = path.steps.at(-1)?.entry ?? 0n;
  return {
    frame: Number(path.physical >> 12n),
    level: path.level,
    dirty: writing || on(last, 0x40n),
  };
}

const field = (value: bigint, high: number, low: number): bigint =>
  (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
const any = (value: bigint, high: number, low: number): boolean =>
  high >= low && field(value, high, low) !== 0n;

/** Table 4-14 … 4-20. */
function longPath(
  tables: Tables,
  features: PagingFeatures,
  nx: boolean,
  top: number,
  root: number,
  va: bigint,
): Path | "absent" | "reserved" {
  const steps: Step[] = [];
  let table = BigInt(root) & ~0xfffn;
  for (let level = top; ; level--) {
    const at = Number(table + 8n * field(va, 11 + 9 * level, 3 + 9 * level));
    const entry = tables.peek(at);
    if (entry === undefined || !any(entry, 0, 0)) return "absent";
    const ps = any(entry, 7, 7);
    if (any(entry, 51, features.physicalBits) || (!nx && any(entry, 63, 63))) return "reserved";
    if (level >= 4 && (ps || (features.amd && any(entry, 8, 8)))) return "reserved";
    if (level === 3 && ps && (!features.gigabytePages || any(entry, 29, 13))) return "reserved";
    if (level === 2 && ps && any(entry, 20, 13)) return "reserved";
    const leaf = level === 1 || ps;
    steps.push({ at, entry, leaf });
    const low = 3 + 9 * level;
    if (leaf)
      return {
        steps,
        level,
        physical: (field(entry, 51, low) << BigInt(low)) | field(va, low - 1, 0),
      };
    table = field(entry, 51, 12) << 12n;
  }
}

/** Tables 4-8 … 4-11; the PDPTEs were checked when they were loaded. */
function paePath(
  tables: Tables,
  features: PagingFeatures,
  nx: boolean,
  pdptes: readonly bigint[],
  va: bigint,
): Path | "absent" | "reserved" {
  const pdpte = pdptes[Number(field(va, 31, 30))] ?? 0n;
  if (!any(pdpte, 0, 0)) return "absent";
  const bad = (entry: bigint) =>
    any(entry, 62, features.physicalBits) || (!nx && any(entry, 63, 63));
  const pdeAt = Number((field(pdpte, 51, 12) << 12n) + 8n * field(va, 29, 21));
  const pde = tables.peek(pdeAt);
  if (pde === undefined || !any(pde, 0, 0)) return "absent";
  const large = any(pde, 7, 7);
  if (bad(pde) || (large && any(pde, 20, 13))) return "reserved";
  const steps: Step[] = [
    { at: undefined, entry: pdpte, leaf: false },
    { at: pdeAt, entry: pde, leaf: large },
  ];
  if (large) return { steps, level: 2, physical: (field(pde, 51, 21) << 21n) | field(va, 20, 0) };
  const pteAt = Number((field(pde, 51, 12) << 12n) + 8n * field(va, 20, 12));
  const pte = tables.peek(pteAt);
  if (pte === undefined || !any(pte, 0, 0)) return "absent";
  if (bad(pte)) return "reserved";
  steps.push({ at: pteAt, entry: pte, leaf: true });
  return { steps, level: 1, physical: (field(pte, 51, 12) << 12n) | field(va, 11, 0) };
}

/** Tables 4-4 … 4-6. */
function shortPath(
  tables: Tables,
  features: PagingFeatures,
  pse: boolean,
  root: number,
  va: bigint,
): Path | "absent" | "reserved" {
  const pdeAt = Number((BigInt(root) & ~0xfffn) + 4n * field(va, 31, 22));
  const pde = tables.peek(pdeAt, 4);
  if (pde === undefined || !any(pde, 0, 0)) return "absent";
  if (pse && any(pde, 7, 7)) {
    if (any(pde, 21, features.pse36 ? 17 : 13)) return "reserved";
    const physical = (field(pde, 16, 13) << 32n) | (field(pde, 31, 22) << 22n) | field(va, 21, 0);
    return { steps: [{ at: pdeAt, entry: pde, leaf: true }], level: 2, physical };
  }
  const pteAt = Number((field(pde, 31, 12) << 12n) + 4n * field(va, 21, 12));
  const pte = tables.peek(pteAt, 4);
  if (pte === undefined || !any(pte, 0, 0)) return "absent";
  return {
    steps: [
      { at: pdeAt, entry: pde, leaf: false },
      { at: pteAt, entry: pte, leaf: true },
    ],
    level: 1,
    physical: (field(pte, 31, 12) << 12n) | field(va, 11, 0),
  };
}
