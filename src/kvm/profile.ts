import { type Refusal, refuse } from "./refusal";

/** Eras of KVM's MMU, as its documents of 2010, of 2012 and of today have it. */
export type Era = "2010" | "2012" | "modern";

/** Which kernels' MMU is imitated: each field a way in which the eras differ (docs/eras.md). */
export interface Profile {
  readonly era: Era;
  /** Releases whose behaviour it is. */
  readonly kernels: string;
  /** How often a fault tries to fix an spte without mmu_lock. */
  readonly fastPageFault: "none" | "once" | "retried";
  /** Roots kept for a quick return (`prev_roots`). */
  readonly cachedRoots: 0 | 3;
  /** A CR3 that points outside the slots. */
  readonly absentRoot: "triple-fault" | "dummy";
  /** An emulated write to a guest table empties the spte, and makes it anew where it can. */
  readonly gpteWrite: "recreate" | "zap";
  /** INVLPG brings the entry in line, or drops it and makes it anew. */
  readonly invlpg: "recreate" | "resync";
  /** Everything is invalidated page by page, or by a generation in one step. */
  readonly invalidation: "each" | "generation";
  /** Who counts writes to a table in a row: the vCPU for the last table it wrote, or the page. */
  readonly flooding: "vcpu" | "page";
  /** What becomes of a large leaf over a frame that becomes a guest table. */
  readonly largeOverTable: "drop" | "protect";
  /** A page that a sync leaves without a present entry. */
  readonly emptyAfterSync: "zap" | "keep";
  /** A sync makes each leaf anew, or only where gfn or access have changed. */
  readonly syncLeaf: "always" | "changed";
  /** When a found page that leads to unsync pages is synced. */
  readonly foundUnsyncChildren: "at-entry" | "now";
  /** A new upper page syncs the level-1 pages of the same frame, or zaps them. */
  readonly unsyncTwin: "sync" | "zap";
  /** Buckets of the page hash, and whether the gfn is scattered over them. */
  readonly hashBuckets: 1024 | 4096;
  /** Address spaces: with SMM two, and the slots generation steps by as many. */
  readonly addressSpaces: 1 | 2;
  /** User memory slots. */
  readonly userSlots: number;
  /** `SLOT_FLAG` bits that a caller may give: 1 logs, 2 is read-only (since 3.7). */
  readonly slotFlags: number;
  /** The vCPU remembers its last mmio page. */
  readonly mmioCache: boolean;
  /** Pages note which slots they map (`slot_bitmap`). */
  readonly slotBitmap: boolean;
  /** Taking the dirty log protects the whole slot, or the frames whose bit was set. */
  readonly dirtyLogGrain: "slot" | "page";
  /** The host tells of a page that is replaced by another (change_pte). */
  readonly changePte: boolean;
  /** Pages that the shrinker zaps when it is called: one, or as many as it is asked for. */
  readonly shrinks: "one" | "count";
  /** A TDP engine of its own, without rmap and hash. */
  readonly tdpMmu: boolean;
  /** CPUID features that these kernels do not know, so that no guest of theirs has them. */
  readonly unknownFeatures: readonly string[];
  /** Bugs on purpose. */
  readonly flaws: ReadonlySet<Flaw>;
}

/**
 * A mistake that the locking text of 2012 explains, to be seen at work.
 *
 * - `indirect-fast-path`: the fast page fault also takes entries of indirect pages, whose gfn may
 *   have changed while the frame came back (race 1).
 * - `plain-stores`: entries that others may change are read, then plainly stored, so a D bit set in
 *   between is lost (race 2) and a W set in between is not flushed (race 3).
 */
export type Flaw = "indirect-fast-path" | "plain-stores";

const NO_FLAWS: ReadonlySet<Flaw> = new Set();

/** PCID came with 3.6, for guests under EPT alone. */
const SINCE_2012 = ["smap", "pcid", "invpcid", "umip", "pku", "la57"];

const OLD = {
  cachedRoots: 0,
  absentRoot: "triple-fault",
  gpteWrite: "recreate",
  invlpg: "recreate",
  invalidation: "each",
  largeOverTable: "drop",
  emptyAfterSync: "zap",
  syncLeaf: "always",
  foundUnsyncChildren: "at-entry",
  unsyncTwin: "sync",
  hashBuckets: 1024,
  addressSpaces: 1,
  userSlots: 32,
  slotFlags: 1,
  slotBitmap: true,
  changePte: true,
  shrinks: "one",
  tdpMmu: false,
  flaws: NO_FLAWS,
} as const;

/** The documents of 2010: the first posting, and the one merged. */
export const OF_2010: Profile = {
  ...OLD,
  era: "2010",
  kernels: "2.6.35 to 2.6.38",
  fastPageFault: "none",
  mmioCache: false,
  flooding: "vcpu",
  dirtyLogGrain: "slot",
  unknownFeatures: ["smep", ...SINCE_2012],
};

/** The additions of 2011 and 2012: large pages, cr0.wp, locking. */
export const OF_2012: Profile = {
  ...OLD,
  era: "2012",
  kernels: "2.6.39 to 3.6",
  fastPageFault: "once",
  mmioCache: true,
  flooding: "page",
  dirtyLogGrain: "page",
  unknownFeatures: SINCE_2012,
};

export const MODERN: Profile = {
  era: "modern",
  kernels: "6.12 and later",
  fastPageFault: "retried",
  cachedRoots: 3,
  absentRoot: "dummy",
  gpteWrite: "zap",
  invlpg: "resync",
  invalidation: "generation",
  flooding: "page",
  largeOverTable: "protect",
  emptyAfterSync: "keep",
  syncLeaf: "changed",
  foundUnsyncChildren: "now",
  unsyncTwin: "zap",
  hashBuckets: 4096,
  addressSpaces: 2,
  userSlots: 32764,
  slotFlags: 3,
  mmioCache: true,
  slotBitmap: false,
  dirtyLogGrain: "page",
  changePte: false,
  shrinks: "count",
  tdpMmu: true,
  unknownFeatures: [],
  flaws: NO_FLAWS,
};

export const PROFILES: readonly Profile[] = [OF_2010, OF_2012, MODERN];

/** The same kernels with bugs they do not have: for demonstrations. */
export const withFlaws = (profile: Profile, ...flaws: readonly Flaw[]): Profile => ({
  ...profile,
  flaws: new Set(flaws),
});

export function profileOf(era: string): Profile | Refusal {
  const eras = PROFILES.map((profile) => profile.era).join(", ");
  return (
    PROFILES.find((profile) => profile.era === era) ??
    refuse("EINVAL", `era "${era}" is not an era: use one of ${eras}`)
  );
}
