import {
  ACCESS,
  accessErrorBits,
  type Gfn,
  type Gpa,
  gfnOf,
  gpa,
  isBadPdpte,
  PFEC,
  pdpteRegisters,
  pdpteTable,
  topTable,
  type WalkResult,
  type WalkRoot,
  walk,
  walkAccess,
  withPkru,
} from "../../x86";
import type { MmuContext } from "../mmu/context";
import type { MmuState } from "../mmu/state";
import { announcing } from "../mmu/walk-guest";
import type { RefusedNgpa } from "./nested-exit";
import { NestedTables } from "./nested-tables";

/** Where an address of L2's leads, through both of the guests' tables. */
export type NestedTranslation =
  | { readonly kind: "translation"; readonly frame: Gfn }
  /** L2's own #PF. */
  | { readonly kind: "fault"; readonly error: number }
  /** L1's tables refuse: its affair. */
  | { readonly kind: "refused"; readonly by: RefusedNgpa };

/**
 * Walks L2's own tables for `va` (nested_mmu): each table they name, and the page at the end, is an ngpa
 * that L1's tables translate. Sets A and D in both.
 */
export function walkL2(
  state: MmuState,
  context: MmuContext,
  va: bigint,
  access: number,
): NestedTranslation {
  const { cpu, walkMode, nestedWalk: result } = context;
  const { trace } = state;
  const rules = withPkru(walkMode.guestRules, cpu.pkru);
  const implicit = cpu.cpl === 3 && !(access & ACCESS.user) ? ACCESS.implicit : 0;
  const tables = new NestedTables(state, context);
  if (rules.format.levels > 0 && trace.wants("kvm_mmu_pagetable_walk"))
    trace.emit("kvm_mmu_pagetable_walk", { addr: va, pferr: access });
  const root = rootOf(state, context, tables, va);
  if (root === undefined) {
    const error = PFEC.present | PFEC.reserved | accessErrorBits(access, rules.fetchReported);
    return { kind: "fault", error };
  }
  if (!tables.refused) {
    const kind = walkAccess(access | implicit, cpu.ac);
    walk(rules, root, va, kind, tables, result, announcing(trace));
    if (!tables.refused && result.kind === "translation")
      return final(tables, result, Number(va & 0xfffn), access);
  }
  if (tables.refused) return { kind: "refused", by: tables.refused };
  if (trace.wants("kvm_mmu_walker_error"))
    trace.emit("kvm_mmu_walker_error", { pferr: result.error });
  return { kind: "fault", error: result.error };
}

/** The page itself is an ngpa as well. */
function final(
  tables: NestedTables,
  { frame }: WalkResult<Gpa>,
  offset: number,
  access: number,
): NestedTranslation {
  const at = tables.translatePage(gpa(frame * 4096 + offset), access);
  if (at !== undefined) return { kind: "translation", frame: gfnOf(at) };
  return { kind: "refused", by: tables.refused! };
}

/**
 * SVM keeps no PDPTEs: the one that is used is read now. VMX has them in registers. Undefined when it has
 * a reserved bit set.
 */
function rootOf(
  state: MmuState,
  { cpu, walkMode, guestMode, pdptrs }: MmuContext,
  tables: NestedTables,
  va: bigint,
): WalkRoot<Gpa> | undefined {
  const { format } = walkMode.guestRules;
  if (!format.rootInRegisters) return gpa(topTable(format.mode, cpu.cr3));
  if (guestMode?.nestedPaging && "eptp" in guestMode.nestedPaging) return pdptrs;
  const entry = state.scratchEntry;
  const index = Number((va >> 30n) & 3n);
  entry.lo = entry.hi = 0;
  tables.load(gpa(pdpteTable(cpu.cr3) + 8 * index), 8, entry);
  if (isBadPdpte(entry, state.format.physicalBits)) return undefined;
  const registers = pdpteRegisters();
  registers[2 * index] = entry.lo;
  registers[2 * index + 1] = entry.hi;
  return registers;
}
