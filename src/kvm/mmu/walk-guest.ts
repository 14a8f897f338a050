import {
  ACCESS,
  accessErrorBits,
  type Gpa,
  isCanonical,
  type Trace,
  type WalkResult,
  type WalkSink,
  walk,
  walkAccess,
  withPkru,
} from "../../x86";
import { guestTables } from "../nested/walk-root";
import type { MmuContext } from "./context";
import type { MmuState } from "./state";

/**
 * Walks the tables that the vCPU's MMU shadows, or that its hardware walks first, for `va` with the rights
 * and register bits of the vCPU: the guest's own, or L1's second dimension while L2 runs on one, when `va`
 * is an ngpa. `access` is an error code, of which W, U and F count. Result in `context.walk`. Without
 * paging gva = gpa.
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
  const sink = announcing(state.trace);
  const result = beyondTables(context, va)
    ? nothingAt(context, va, access)
    : walk(
        withPkru(mode.guestRules, cpu.pkru),
        guestTables(context, state.guestTables),
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

/**
 * Tables of fewer levels translate fewer bits of an ngpa: the rest of it is nowhere. Of a gva the processor
 * has made sure before.
 */
function beyondTables(context: MmuContext, address: bigint): boolean {
  if (!context.isNested) return false;
  const { levels, shift } = context.mode.guestRules.format;
  const bits = levels < 4 ? 32 : shift[levels]! + 9;
  return address >> BigInt(bits) !== 0n;
}

/** The walk that finds nothing at its first step. */
function nothingAt(context: MmuContext, address: bigint, access: number): WalkResult<Gpa> {
  const { walk: result, mode } = context;
  result.begin(address);
  result.kind = "fault";
  result.reason = "not-present";
  result.access = 0;
  result.error = accessErrorBits(access, mode.guestRules.fetchReported);
  return result;
}

/** Tells of the steps of a walk, when anybody listens. */
export function announcing(trace: Trace): WalkSink<Gpa> | undefined {
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
  const { levels } = context.walkMode.guestRules.format;
  return levels >= 4 && !isCanonical(va, levels);
};
