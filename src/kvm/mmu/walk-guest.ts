import {
  ACCESS,
  type Gpa,
  gpa,
  isCanonical,
  topTable,
  type WalkResult,
  type WalkRoot,
  type WalkSink,
  walk,
  walkAccess,
  withPkru,
} from "../../x86";
import type { MmuContext } from "./context";
import type { MmuState } from "./state";

/**
 * Walks the guest's own tables for `va` with the rights and register bits of the vCPU; `access` is
 * an error code, of which W, U and F count. Result in `context.walk`. Without paging gva = gpa.
 */
export function walkGuest(
  state: MmuState,
  context: MmuContext,
  va: bigint,
  access: number,
): WalkResult<Gpa> {
  const { cpu, mode } = context;
  const { trace } = state;
  // A supervisor access made at CPL 3 is an implicit one: EFLAGS.AC does not count for it.
  const implicit = cpu.cpl === 3 && !(access & ACCESS.user) ? ACCESS.implicit : 0;
  const paging = mode.guestRules.format.levels > 0;
  if (paging && trace.wants("kvm_mmu_pagetable_walk"))
    trace.emit("kvm_mmu_pagetable_walk", { addr: va, pferr: access });
  const sink = announcing(state);
  const result = walk(
    withPkru(mode.guestRules, cpu.pkru),
    guestRoot(context),
    va,
    walkAccess(access | implicit, cpu.ac),
    state.guestTables,
    context.walk,
    sink,
  );
  if (result.kind === "fault" && trace.wants("kvm_mmu_walker_error"))
    trace.emit("kvm_mmu_walker_error", { pferr: result.error });
  return result;
}

/** Where a walk of the guest's tables starts: the table of CR3, or the cached PDPTEs. */
function guestRoot({ mode, cpu, pdptrs }: MmuContext): WalkRoot<Gpa> {
  const { format } = mode.guestRules;
  return format.rootInRegisters ? pdptrs : gpa(topTable(format.mode, cpu.cr3));
}

function announcing(state: MmuState): WalkSink<Gpa> | undefined {
  const { trace } = state;
  const wanted =
    trace.wants("kvm_mmu_paging_element") ||
    trace.wants("kvm_mmu_set_accessed_bit") ||
    trace.wants("kvm_mmu_set_dirty_bit");
  if (!wanted) return undefined;
  return {
    element: (level, at, lo, hi) =>
      trace.emit("kvm_mmu_paging_element", {
        pte: (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0),
        level,
        gpa: at,
      }),
    accessed: (_level, at) => trace.emit("kvm_mmu_set_accessed_bit", { gpa: at }),
    dirty: (_level, at) => trace.emit("kvm_mmu_set_dirty_bit", { gpa: at }),
  };
}

/** The entry the last walk used at `level` no longer holds what the walk left there. */
export function gpteChanged(state: MmuState, context: MmuContext, level: number): boolean {
  const { walk: path, mode } = context;
  const entry = state.scratchEntry;
  const bytes = mode.guestRules.format.entryBytes;
  if (!state.guest.peekEntry(path.entryAt(level), bytes, entry)) return true;
  return entry.lo !== path.entryLo(level) || entry.hi !== path.entryHi(level);
}

/** True for addresses INVLPG ignores: not canonical for the guest's paging mode. */
export const isNonCanonical = (context: MmuContext, va: bigint): boolean => {
  const { levels } = context.mode.guestRules.format;
  return levels >= 4 && !isCanonical(va, levels);
};
