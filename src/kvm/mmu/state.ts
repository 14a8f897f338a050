import type { HostMemory, HostProcess } from "../../host";
import { type Entry, type Gfn, type Hpa, hpa, hpaOf, type Pfn, pfnOf, type Trace } from "../../x86";
import { GuestMemory } from "../guest-memory";
import { ADDRESS_SPACES, type MemorySlot, SlotSet } from "../memslots";
import type { Profile } from "../profile";
import type { TdpMmu } from "../tdp/tdp-mmu";
import type { MmuContext } from "./context";
import { DirtyLogMode } from "./dirty/log-mode";
import type { DirtyRing } from "./dirty/ring";
import { newSplitCache, type SplitCache } from "./dirty/split-cache";
import { GracePeriod } from "./grace";
import { GuestTablePort } from "./guest-table-port";
import { DEFAULT_KNOBS, type MmuKnobs } from "./knobs";
import { MmuLock } from "./mmu-lock";
import { ActiveList, PageHash } from "./page-lists";
import { REQUEST, REQUEST_NAMES, type Request } from "./requests";
import { ENTRIES, type ShadowFrame, type ShadowPage } from "./shadow-page";
import type { Sptep } from "./spte";
import type { SpteFormat } from "./spte-format";
import { newVmStats, type VmStats } from "./stats";

/** KVM_MIN_FREE_MMU_PAGES: a fault finds at least this many pages to take. */
export const MIN_FREE_PAGES = 5;

/** Invalidations of hva ranges under way and done: what a page lookup is checked against. */
export interface NotifierState {
  /** Ranges between start and end. */
  inProgress: number;
  /** Frames covered by all of them together; meaningful while `inProgress` > 0. */
  rangeStart: number;
  rangeEnd: number;
  /** Ends so far: a lookup made before one of them may be stale. */
  seq: number;
}

/** One store to an spte, for INV-S-09. */
export interface SpteWrite {
  readonly sptep: Sptep;
  readonly oldLo: number;
  readonly oldHi: number;
  readonly kind: "store" | "exchange";
}

/** The value `makeSpte` made last. */
export interface MadeSpte {
  lo: number;
  hi: number;
  /** Write access was wanted and refused: the frame is a guest table whose writes must be seen. */
  writeProtected: boolean;
}

/**
 * What the MMU keeps for a whole VM: shadow pages, slots, counters, notifier state. The functions of
 * `mmu/` work on it; it only knows its own lists. Everything happens with mmu_lock held, which in one
 * thread is a matter of the named points in `points.ts`.
 */
export class MmuState {
  /** All of the machine's memory as words: the sptes among them. */
  readonly words: Uint32Array;
  /** By address space: 0 normal, 1 in system management mode. */
  readonly slotSets: readonly SlotSet[] = Array.from(
    { length: ADDRESS_SPACES },
    (_, asId) => new SlotSet(asId),
  );
  readonly hash: PageHash;
  readonly active = new ActiveList();
  /** Pages zapped while a root slot held them: on no list until their count falls. */
  readonly pinned = new Set<ShadowPage>();
  /** Pages that keep a huge page from being mapped for no reason but a fetch; the oldest first. */
  readonly possibleNxHugePages = new Set<ShadowPage>();
  /** 0 or 1: toggled to make every page obsolete at once. */
  mmuValidGen = 0;
  /** A set of slots is being put in place of another. */
  slotsChanging = false;
  /** Live shadow pages that are not zapped (`n_used_mmu_pages`). */
  usedPages = 0;
  /** `n_max_mmu_pages`: soft, a fault may exceed it by what it has already cached. */
  maxPages = 64;
  /** Counted pages with gptes: 0 lets emulated stores skip the lookup. */
  indirectShadowPages = 0;
  readonly lock = new MmuLock();
  readonly notifier: NotifierState = { inProgress: 0, rangeStart: 0, rangeEnd: 0, seq: 0 };
  readonly stats: VmStats = newVmStats();
  knobs: MmuKnobs = DEFAULT_KNOBS;
  readonly dirtyLogMode = new DirtyLogMode();
  /** Processors log the D bits that they set (PML). */
  pml = false;
  /** Slots lie below 2 to the power of this (`kvm_mmu_max_gfn`). */
  gpaBits = 52;
  /** Guests have a second dimension: pages for nested guests are the only ones with gptes then. */
  tdpEnabled = false;
  readonly splitCache: SplitCache = newSplitCache();
  readonly contexts: MmuContext[] = [];
  /** The vCPU on whose behalf KVM works (kvm_get_running_vcpu); none in a call of the VMM. */
  running: MmuContext | undefined;
  /** When set, stores to sptes are logged here. */
  writeLog: SpteWrite[] | undefined;
  /** Scratch of `makeSpte`: its result until the next call. */
  readonly made: MadeSpte = { lo: 0, hi: 0, writeProtected: false };
  /** Scratch of `readLockless`: what the entry held. */
  readonly seen = { lo: 0, hi: 0 };
  /** Scratch of the last spte store: what the entry held. */
  readonly replaced = { lo: 0, hi: 0 };
  /** Page tables that went out of use, until no lockless walker can see them. */
  readonly grace = new GracePeriod();
  /** Guest physical memory of address space 0. */
  readonly guest: GuestMemory;
  /** Guest tables as the guest walker reads and marks them. */
  readonly guestTables: GuestTablePort;
  /** Scratch for one guest entry. */
  readonly scratchEntry: Entry = { lo: 0, hi: 0 };
  /** Serial of the next shadow page. */
  nextSerial = 0;
  private readonly owners: (ShadowPage | undefined)[] = [];
  private readonly firstFrame: number;

  constructor(
    readonly memory: HostMemory,
    readonly hostProcess: HostProcess,
    readonly trace: Trace,
    readonly profile: Profile,
    readonly format: SpteFormat,
    /** The trees of the TDP MMU; undefined where direct roots are made of shadow pages. */
    readonly tdpMmu?: TdpMmu,
  ) {
    this.words = memory.words;
    this.hash = new PageHash(profile.hashBuckets);
    this.firstFrame = memory.zones.mmu.offset / 4096;
    this.guest = new GuestMemory(memory, hostProcess, this.slotSets[0]!, {
      written: (slot, frame) => this.markDirty(slot, frame, "written by KVM"),
      sleeps: () => this.lock.assertMaySleep(),
    });
    this.guestTables = new GuestTablePort(this.guest, memory);
  }

  /** The page whose sptes lie in the frame of this one (`page->private`). */
  pageOf(sptep: Sptep): ShadowPage {
    const page = this.pageAt(sptep);
    if (!page) throw new Error(`word ${sptep} is in no shadow page`);
    return page;
  }
  /** The same, or undefined once it is freed. */
  pageAt(sptep: Sptep): ShadowPage | undefined {
    return this.owners[(sptep >>> 9) - this.firstFrame];
  }
  /** The shadow page in this host frame, if there is one. */
  pageInFrame(frame: Pfn): ShadowPage | undefined {
    const { first } = this.memory.zones.mmu;
    return this.owners[frame - first];
  }
  /** Address of an spte in host memory. */
  hpaOf(sptep: Sptep): Hpa {
    const page = this.pageOf(sptep);
    return hpa(page.spt + 8 * (sptep - page.base));
  }
  /** Word number of the first entry of a host frame. */
  wordOf(frame: Pfn): Sptep {
    return this.memory.offsetOf(frame) / 8;
  }

  adopt(page: ShadowPage): void {
    this.owners[pfnOf(page.spt) - this.memory.zones.mmu.first] = page;
  }
  /** Forgets the page and gives its frame back. Nothing may point at it any more. */
  release(page: ShadowPage): void {
    this.owners[pfnOf(page.spt) - this.memory.zones.mmu.first] = undefined;
    this.memory.free(pfnOf(page.spt));
  }
  /** A frame of empty sptes; throws when there is none, as the limit on pages comes first. */
  allocateFrame(): ShadowFrame {
    const frame = this.tryAllocateFrame();
    if (!frame) throw new Error("zone mmu is full although max pages was not reached");
    return frame;
  }
  tryAllocateFrame(): ShadowFrame | undefined {
    const frame = this.memory.allocate("mmu");
    if (frame === undefined) return undefined;
    const base = this.wordOf(frame);
    const { words } = this;
    const { emptyLo, emptyHi } = this.format;
    for (let word = 2 * base, end = word + 2 * ENTRIES; word < end; word += 2) {
      words[word] = emptyLo;
      words[word + 1] = emptyHi;
    }
    return { spt: hpaOf(frame), base };
  }
  /** Forgets all pages, without freeing frames: for `restore`. */
  forgetPages(): void {
    this.hash.clear();
    this.active.clear();
    this.pinned.clear();
    this.possibleNxHugePages.clear();
    this.tdpMmu?.forget();
    this.owners.fill(undefined);
  }

  /** TDP MMU pages know no generation: their roots are made invalid. */
  isObsolete(page: ShadowPage): boolean {
    return page.invalid || (!page.tdpMmuPage && page.mmuValidGen !== this.mmuValidGen);
  }

  /** Marks a frame dirty in the log of its slot, if the slot has one. */
  markDirty(slot: MemorySlot, frame: Gfn, why: string): void {
    if (!slot.logsDirty) return;
    if (this.dirtyLogMode.usesRing) {
      if (!this.running?.ring) return;
      this.pushDirty(this.running, this.running.ring, slot, frame);
    } else if (slot.isDirty(frame)) return;
    else slot.setDirty(frame);
    if (this.trace.wants("dirty_mark")) this.trace.emit("dirty_mark", { gfn: frame, why });
  }

  /** As often as it becomes writable or is written by KVM: nobody looks for an earlier entry. */
  private pushDirty(context: MmuContext, ring: DirtyRing, slot: MemorySlot, frame: Gfn): void {
    const id = (slot.asId << 16) | slot.id;
    const offset = frame - slot.baseGfn;
    ring.push(id, offset);
    if (this.trace.wants("kvm_dirty_ring_push"))
      this.trace.emit("kvm_dirty_ring_push", {
        index: ring.index,
        dirty_index: ring.dirtyIndex,
        reset_index: ring.resetIndex,
        slot: id,
        offset,
        used: ring.used,
      });
    if (ring.softFull) this.request(context, "dirtyRingSoftFull");
  }

  /** A slot of the guest's memory logs: what the hardware can log is asked of it. */
  get logsWrites(): boolean {
    return this.slotSets[0]!.slots.some((slot) => slot.logsDirty);
  }

  request(context: MmuContext, request: Request): void {
    if (context.has(request)) return;
    context.requests |= REQUEST[request];
    if (this.trace.wants("request_made"))
      this.trace.emit("request_made", { vcpu: context.id, request: REQUEST_NAMES[request] });
  }
  requestAll(request: Request): void {
    for (const context of this.contexts) this.request(context, request);
  }

  /** Flushes the TLBs of all vCPUs. None runs meanwhile, so it is done at once, not at their next entry. */
  flushRemoteTlbs(why: string): void {
    this.stats.remote_tlb_flush_requests++;
    this.stats.remote_tlb_flush++;
    for (const context of this.contexts) context.cpu.flushTlb();
    if (this.trace.wants("tlb_flush")) this.trace.emit("tlb_flush", { scope: "all", why });
  }
  flushTlbPage(context: MmuContext, va: bigint, why: string): void {
    context.cpu.flushTlbPage(va);
    if (this.trace.wants("tlb_flush"))
      this.trace.emit("tlb_flush", { scope: "page", vcpu: context.id, va, why });
  }
  flushTlb(context: MmuContext, why: string): void {
    context.stats.tlb_flush++;
    context.cpu.flushTlb();
    if (this.trace.wants("tlb_flush"))
      this.trace.emit("tlb_flush", { scope: "current", vcpu: context.id, why });
  }
}
