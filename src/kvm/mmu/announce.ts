import { ALLOW, type Refill } from "../../x86";
import type { MmuContext } from "./context";
import { ROLE, roleAccess, roleLevel } from "./role";
import type { ShadowPage } from "./shadow-page";
import { type Sptep, spteValue } from "./spte";
import type { MmuState } from "./state";

/** Fields of the events that print a whole shadow page. */
export const pageFields = (state: MmuState, page: ShadowPage) => ({
  // Kernels without generations print none.
  gen: state.profile.invalidation === "generation" ? page.mmuValidGen : undefined,
  gfn: page.gfn,
  role: page.role,
  level: roleLevel(page.role),
  direct: (page.role & ROLE.direct) !== 0,
  access: roleAccess(page.role),
  root_count: page.rootCount,
  unsync: page.unsync,
  sp: page.serial,
  spt: page.spt,
});

export type PageEvent = "kvm_mmu_sync_page" | "kvm_mmu_unsync_page" | "kvm_mmu_prepare_zap_page";

export function announcePage(state: MmuState, name: PageEvent, page: ShadowPage): void {
  if (state.trace.wants(name)) state.trace.emit(name, pageFields(state, page));
}

/** Why an spte went away (`spte_drop`). */
export type DropReason =
  | "gpte-write"
  | "invlpg"
  | "sync"
  | "notifier"
  | "slot"
  | "zap"
  | "large-replace"
  | "recover"
  | "recycle"
  | "direct-access-change"
  | "new-frame"
  | "mmio-stale"
  | "age";

export function announceDrop(
  state: MmuState,
  sptep: Sptep,
  lo: number,
  hi: number,
  reason: DropReason,
): void {
  if (!state.trace.wants("spte_drop")) return;
  const page = state.pageOf(sptep);
  const index = sptep - page.base;
  state.trace.emit("spte_drop", {
    sptep: state.hpaOf(sptep),
    old: spteValue(lo, hi),
    level: page.level,
    gfn: page.gfnAt(index),
    sp: page.serial,
    index,
    reason,
  });
}

/** A named interleaving point (mmu.rst names none; ours): listeners may let another actor run here. */
export type Point =
  | "R1"
  | "R2"
  | "R3"
  | "H1"
  | "H2"
  | "P1"
  | "P2"
  | "P5"
  | "P6"
  | "M1"
  | "M2"
  | "M3"
  | "M4"
  | "D1"
  | "D2"
  | "D3"
  | "N1"
  | "N2"
  | "Z1"
  | "Z2"
  | "T1"
  | "T2";

export function reachPoint(state: MmuState, point: Point): void {
  if (!state.trace.wants("point")) return;
  state.lock.letOthersRun(() => state.trace.emit("point", { point }));
}

/** The processor may keep this translation (`tlb_fill`): a TLB miss that its walk resolved. */
export function announceFill(
  state: MmuState,
  context: MmuContext,
  va: bigint,
  { offset, level, allow, global }: Refill,
): void {
  if (!state.trace.wants("tlb_fill")) return;
  const may = (right: number, letter: string): string => (allow & right ? letter : "-");
  const access = may(ALLOW.read, "r") + may(ALLOW.write, "w") + may(ALLOW.exec, "x");
  const pfn = state.memory.frameAt(offset);
  state.trace.emit("tlb_fill", { vcpu: context.id, va, pfn, level, access, global });
}
