import { gfn, hpa, type PageModificationLogState, type PdpteRegisters, pfnOf } from "../x86";
import { MemorySlot, newSlotArch, type SlotPlace } from "./memslots";
import type { MmioCache, MmuContext } from "./mmu/context";
import type { DirtyRingState } from "./mmu/dirty/ring";
import type { SplitCache } from "./mmu/dirty/split-cache";
import type { MmuKnobs } from "./mmu/knobs";
import { KvmMmu, PREV_ROOTS } from "./mmu/kvm-mmu";
import type { CacheCounts } from "./mmu/memory-caches";
import type { PteList } from "./mmu/pte-list";
import { NO_ROOT, type Root } from "./mmu/root";
import { ShadowPage } from "./mmu/shadow-page";
import type { MmuState, NotifierState } from "./mmu/state";
import type { VcpuStats, VmStats } from "./mmu/stats";
import type { WriteRun } from "./mmu/write-run";
import type { GuestMode, NestedExit } from "./nested/guest-mode";
import { restoreTdp, saveTdp, type TdpMmuState } from "./tdp/save";

/** One shadow page. `translation` only where the page keeps one. */
export interface PageState {
  readonly serial: number;
  readonly gfn: number;
  readonly role: number;
  readonly spt: number;
  readonly mmuValidGen: number;
  readonly gpteExt: number;
  readonly unsync: boolean;
  readonly rootCount: number;
  readonly tdpMmuPage: boolean;
  readonly clearSpteCount: number;
  readonly writeFloodingCount: number;
  readonly nxHugePageDisallowed: boolean;
  readonly slotBitmap: number;
  readonly parentPtes: PteList;
  readonly unsyncChildBitmap: Uint32Array;
  readonly translation: Float64Array | undefined;
}

/** A slot; the rmap as the words that are not empty: level, index, word. */
export interface SlotState {
  readonly place: SlotPlace;
  readonly dirtyBitmap: Uint32Array | undefined;
  readonly rmap: readonly (readonly [level: number, index: number, word: PteList])[];
  readonly lpage: readonly [Int32Array, Int32Array];
  readonly writeTrack: Uint16Array;
}

/** A root slot, its pages as serials. */
export interface RootState {
  readonly kind: Root["kind"];
  readonly pgd: bigint;
  readonly pages: readonly number[];
}

/** The roots of one MMU. */
export interface MmuRootsState {
  readonly root: RootState;
  readonly prevRoots: readonly RootState[];
  readonly paeRoot: number | undefined;
  readonly specialRoot: number | undefined;
}

export interface ContextState {
  readonly rootMmu: MmuRootsState;
  readonly guestMmu: MmuRootsState | undefined;
  readonly guestMode: GuestMode | undefined;
  readonly nestedExit: NestedExit | undefined;
  readonly mmioCache: MmioCache | undefined;
  readonly pdptrs: PdpteRegisters;
  readonly pml: PageModificationLogState | undefined;
  readonly ring: DirtyRingState | undefined;
  readonly requests: number;
  readonly writeRun: WriteRun;
  readonly caches: CacheCounts;
  readonly lastUnprotect: { readonly rip: bigint; readonly address: bigint } | undefined;
  readonly stats: VcpuStats;
}

export interface VmState {
  readonly slots: readonly SlotState[];
  readonly generations: readonly number[];
  /** Oldest first: in the order in which the active list was made. */
  readonly active: readonly PageState[];
  readonly pinned: readonly PageState[];
  /** Pages of the TDP MMU, and its lists of them. */
  readonly tdpPages: readonly PageState[];
  readonly tdpMmu: TdpMmuState | undefined;
  readonly mmuValidGen: number;
  readonly maxPages: number;
  readonly indirectShadowPages: number;
  readonly nextSerial: number;
  readonly notifier: NotifierState;
  readonly knobs: MmuKnobs;
  /** Serials. */
  readonly possibleNxHugePages: readonly number[];
  readonly manualProtect: number;
  readonly ringEntries: number;
  readonly splitCache: SplitCache;
  readonly stats: VmStats;
  readonly contexts: readonly ContextState[];
}

export function saveVm(state: MmuState): VmState {
  return {
    slots: state.slotSets.flatMap((set) => set.slots.map(saveSlot)),
    generations: state.slotSets.map((set) => set.generation),
    active: [...state.active].reverse().map(savePage),
    pinned: [...state.pinned].map(savePage),
    tdpPages: [...(state.tdpMmu?.pages ?? [])].map(savePage),
    tdpMmu: state.tdpMmu && saveTdp(state.tdpMmu),
    mmuValidGen: state.mmuValidGen,
    maxPages: state.maxPages,
    indirectShadowPages: state.indirectShadowPages,
    nextSerial: state.nextSerial,
    notifier: { ...state.notifier },
    knobs: state.knobs,
    possibleNxHugePages: [...state.possibleNxHugePages].map((page) => page.serial),
    manualProtect: state.dirtyLogMode.manualProtect,
    ringEntries: state.dirtyLogMode.ringEntries,
    splitCache: { ...state.splitCache },
    stats: { ...state.stats },
    contexts: state.contexts.map((context) => ({
      rootMmu: saveRoots(context.rootMmu),
      guestMmu: context.guestMmu && saveRoots(context.guestMmu),
      guestMode: context.guestMode,
      nestedExit: context.nestedExit,
      mmioCache: context.mmioCache,
      pdptrs: context.pdptrs.slice(),
      pml: context.pml?.save(),
      ring: context.ring?.save(),
      requests: context.requests,
      writeRun: { ...context.writeRun },
      caches: { ...context.caches.counts },
      lastUnprotect: context.lastUnprotect,
      stats: { ...context.stats },
    })),
  };
}

/** `state` must belong to a VM of the same make: vCPUs are matched by number. */
export function restoreVm(state: MmuState, saved: VmState): void {
  state.forgetPages();
  restoreSlots(state, saved);
  const bySerial = new Map<number, ShadowPage>();
  for (const page of saved.active) {
    const made = restorePage(state, page);
    bySerial.set(page.serial, made);
    state.active.add(made);
    // Older pages first, so each bucket has its newest in front again.
    state.hash.insert(made);
  }
  for (const page of saved.pinned) {
    const made = restorePage(state, page);
    bySerial.set(page.serial, made);
    state.pinned.add(made);
  }
  const tdpPages = saved.tdpPages.map((page) => restorePage(state, page));
  for (const page of tdpPages) bySerial.set(page.serial, page);
  if (state.tdpMmu && saved.tdpMmu) restoreTdp(state.tdpMmu, saved.tdpMmu, tdpPages, bySerial);
  state.mmuValidGen = saved.mmuValidGen;
  state.usedPages = saved.active.length + saved.pinned.length;
  state.maxPages = saved.maxPages;
  state.indirectShadowPages = saved.indirectShadowPages;
  state.nextSerial = saved.nextSerial;
  Object.assign(state.notifier, saved.notifier);
  state.knobs = saved.knobs;
  for (const serial of saved.possibleNxHugePages)
    state.possibleNxHugePages.add(bySerial.get(serial)!);
  state.dirtyLogMode.manualProtect = saved.manualProtect;
  state.dirtyLogMode.ringEntries = saved.ringEntries;
  Object.assign(state.splitCache, saved.splitCache);
  Object.assign(state.stats, saved.stats);
  saved.contexts.forEach((from, i) => {
    const context = state.contexts[i]!;
    restoreMmus(context, from, bySerial);
    context.mmioCache = from.mmioCache;
    context.pdptrs.set(from.pdptrs);
    if (from.pml) context.pml?.restore(from.pml);
    if (from.ring) context.ring?.restore(from.ring);
    context.requests = from.requests;
    context.lastUnprotect = from.lastUnprotect;
    Object.assign(context.writeRun, from.writeRun);
    Object.assign(context.caches.counts, from.caches);
    Object.assign(context.stats, from.stats);
  });
}

function saveSlot(slot: MemorySlot): SlotState {
  const { id, asId, baseGfn, npages, userspaceAddr, flags, arch } = slot;
  return {
    place: { id, asId, baseGfn, npages, userspaceAddr, flags },
    dirtyBitmap: slot.dirtyBitmap?.slice(),
    rmap: arch.rmap.flatMap((heads, level) =>
      heads.flatMap((word, index) => (word === 0 ? [] : [[level, index, copyList(word)] as const])),
    ),
    lpage: [arch.lpage[0].slice(), arch.lpage[1].slice()],
    writeTrack: arch.writeTrack.slice(),
  };
}

function restoreSlots(state: MmuState, saved: VmState): void {
  state.slotSets.forEach((set, asId) => {
    const mine = saved.slots.filter((slot) => slot.place.asId === asId);
    set.publish(
      mine.map((slot) => {
        const arch = newSlotArch(slot.place);
        for (const [level, index, word] of slot.rmap) arch.rmap[level]![index] = copyList(word);
        arch.lpage[0].set(slot.lpage[0]);
        arch.lpage[1].set(slot.lpage[1]);
        arch.writeTrack.set(slot.writeTrack);
        return new MemorySlot(slot.place, arch, slot.dirtyBitmap?.slice());
      }),
    );
    set.generation = saved.generations[asId]!;
    set.updateInProgress = false;
  });
}

const savePage = (page: ShadowPage): PageState => ({
  serial: page.serial,
  gfn: page.gfn,
  role: page.role,
  spt: page.spt,
  mmuValidGen: page.mmuValidGen,
  gpteExt: page.gpteExt,
  unsync: page.unsync,
  rootCount: page.rootCount,
  tdpMmuPage: page.tdpMmuPage,
  clearSpteCount: page.clearSpteCount,
  writeFloodingCount: page.writeFloodingCount,
  nxHugePageDisallowed: page.nxHugePageDisallowed,
  slotBitmap: page.slotBitmap,
  parentPtes: copyList(page.parentPtes),
  unsyncChildBitmap: page.unsyncChildBitmap.slice(),
  translation: page.shadowedTranslation?.slice(),
});

function restorePage(state: MmuState, saved: PageState): ShadowPage {
  const spt = hpa(saved.spt);
  const page = new ShadowPage(
    { gfn: gfn(saved.gfn), role: saved.role },
    { spt, base: state.wordOf(pfnOf(spt)) },
    {
      serial: saved.serial,
      mmuValidGen: saved.mmuValidGen,
      gpteExt: saved.gpteExt,
      tdpMmuPage: saved.tdpMmuPage,
    },
  );
  page.unsync = saved.unsync;
  page.rootCount = saved.rootCount;
  page.clearSpteCount = saved.clearSpteCount;
  page.writeFloodingCount = saved.writeFloodingCount;
  page.nxHugePageDisallowed = saved.nxHugePageDisallowed;
  page.slotBitmap = saved.slotBitmap;
  page.parentPtes = copyList(saved.parentPtes);
  page.restoreUnsyncBitmap(saved.unsyncChildBitmap);
  if (saved.translation) page.shadowedTranslation?.set(saved.translation);
  state.adopt(page);
  return page;
}

const saveRoots = ({ root, prevRoots, paeRoot, specialRoot }: KvmMmu): MmuRootsState => ({
  root: saveRoot(root),
  prevRoots: prevRoots.map(saveRoot),
  paeRoot,
  specialRoot,
});

/** The roots; which MMU is in use, and by what mode, follows from the registers (`Vcpu.restored`). */
function restoreMmus(
  context: MmuContext,
  from: ContextState,
  bySerial: ReadonlyMap<number, ShadowPage>,
): void {
  const fill = (mmu: KvmMmu, saved: MmuRootsState): void => {
    mmu.root = restoreRoot(saved.root, bySerial);
    for (let slot = 0; slot < PREV_ROOTS; slot++)
      mmu.prevRoots[slot] = restoreRoot(saved.prevRoots[slot]!, bySerial);
  };
  fill(context.rootMmu, from.rootMmu);
  const { guestMmu: saved } = from;
  context.guestMmu = saved && guestMmuOf(context, saved);
  if (context.guestMmu && saved) fill(context.guestMmu, saved);
  context.guestMode = from.guestMode;
  context.nestedExit = from.nestedExit;
}

function guestMmuOf({ rootMmu }: MmuContext, { paeRoot, specialRoot }: MmuRootsState): KvmMmu {
  return new KvmMmu(
    rootMmu.mode,
    paeRoot,
    specialRoot === undefined ? undefined : hpa(specialRoot),
  );
}

function saveRoot(root: Root): RootState {
  if (root.kind === "none") return { kind: root.kind, pgd: 0n, pages: [] };
  if (root.kind === "page") return { kind: root.kind, pgd: root.pgd, pages: [root.page.serial] };
  const pages = root.kind === "pae" ? root.pages.map((page) => page?.serial ?? ABSENT) : [];
  return { kind: root.kind, pgd: root.pgd, pages };
}
const ABSENT = -1;

function restoreRoot(saved: RootState, bySerial: ReadonlyMap<number, ShadowPage>): Root {
  const { kind, pgd } = saved;
  if (kind === "none") return NO_ROOT;
  if (kind === "dummy") return { kind, pgd };
  const pages = saved.pages.map((serial) => bySerial.get(serial));
  return kind === "page" ? { kind, pgd, page: pages[0]! } : { kind, pgd, pages };
}

const copyList = (list: PteList): PteList => (typeof list === "number" ? list : [...list]);
