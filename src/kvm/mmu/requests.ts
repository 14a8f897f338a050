/** What a vCPU is asked to do before it next enters the guest (KVM_REQ_*), one bit each. */
export const REQUEST = {
  freeObsoleteRoots: 1,
  mmuSync: 2,
  loadMmuPgd: 4,
  tlbFlush: 8,
  tlbFlushCurrent: 16,
  tlbFlushGuest: 32,
  dirtyRingSoftFull: 64,
} as const;
export type Request = keyof typeof REQUEST;

/** KVM's names, as events show them. */
export const REQUEST_NAMES: Readonly<Record<Request, string>> = {
  freeObsoleteRoots: "MMU_FREE_OBSOLETE_ROOTS",
  mmuSync: "MMU_SYNC",
  loadMmuPgd: "LOAD_MMU_PGD",
  tlbFlush: "TLB_FLUSH",
  tlbFlushCurrent: "TLB_FLUSH_CURRENT",
  tlbFlushGuest: "TLB_FLUSH_GUEST",
  dirtyRingSoftFull: "DIRTY_RING_SOFT_FULL",
};
