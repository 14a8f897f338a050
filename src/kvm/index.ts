export { EVENT_NAMES, formatEvent, PENUMBRA_EVENTS } from "./events";
export { GuestMemory } from "./guest-memory";
export type { MemoryRegion, RegionChange, RegionOutcome } from "./memory-region";
export { alignmentAdvice } from "./memory-region";
export { LEAF_LEVELS, MemorySlot, SLOT_FLAG } from "./memslots";
export type { MmioCache, MmuContext, UserExit } from "./mmu/context";
export type { DirtyLogRange } from "./mmu/dirty/dirty-log";
export { MANUAL_PROTECT } from "./mmu/dirty/log-mode";
export type { DirtyGfn, DirtyRing } from "./mmu/dirty/ring";
export type { CachedTranslation, GuestCpu } from "./mmu/guest-cpu";
export { gpteAddress, gpteBytes, gpteFormat } from "./mmu/guest-entry";
export { checkSynced, INVARIANTS } from "./mmu/invariants/check";
export type { Invariant } from "./mmu/invariants/invariant";
export type { MmuKnobs } from "./mmu/knobs";
export type { KvmMmu, MmuMode } from "./mmu/kvm-mmu";
export { EPT_MEMORY_TYPE_BIT, eptMemoryType } from "./mmu/memory-type";
export { type PteList, pteListCount, pteListEntries, pteListKind } from "./mmu/pte-list";
export * from "./mmu/role";
export { type Root, rootPages } from "./mmu/root";
export { ENTRIES, ShadowPage } from "./mmu/shadow-page";
export * from "./mmu/spte";
export type { SpteBit } from "./mmu/spte-bits";
export { AD_KIND, type SpteFormat, spteFormat } from "./mmu/spte-format";
export type { SpteHardware } from "./mmu/spte-layout";
export type { VcpuStats, VmStats } from "./mmu/stats";
export type {
  GuestMode,
  GuestModeEntry,
  NestedEpt,
  NestedEptExit,
  NestedExit,
  NestedNpf,
  NestedNpt,
  NestedPaging,
} from "./nested/guest-mode";
export {
  type Era,
  type Flaw,
  MODERN,
  OF_2010,
  OF_2012,
  PROFILES,
  type Profile,
  profileOf,
  withFlaws,
} from "./profile";
export type { Refusal } from "./refusal";
export type { VmState } from "./save";
export { Vcpu } from "./vcpu";
export { type SlotCounts, Vm } from "./vm";
export type { PagingEngine, VmOptions } from "./vm-core";
