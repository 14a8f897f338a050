import {
  type Gfn,
  gfn,
  gfnOf,
  gpa,
  type PdpteRegisters,
  pfnOf,
  tableAddress,
  topTable,
} from "../../x86";
import { allocateSpecialRoots, SPECIAL_ROOT_BITS } from "../nested/special-root";
import { pdptesOf } from "../nested/walk-root";
import { makeTdpRoom, noFrameText } from "../tdp/make-room";
import { putTdpRoot, takeTdpRoot } from "../tdp/roots";
import type { MmuContext } from "./context";
import { getShadowPage } from "./get-page";
import { type KvmMmu, PREV_ROOTS } from "./kvm-mmu";
import { makePagesAvailable } from "./make-room";
import { dropMmioCache } from "./mmio";
import { ROLE, type RoleWord, roleLevel, withLevel, withQuadrant } from "./role";
import { NO_ROOT, PAE_LEVELS, PAE_ROOTS, type Root, rootPages } from "./root";
import type { ShadowPage } from "./shadow-page";
import { pfnHi, pfnLo, spteValue } from "./spte";
import type { MmuState } from "./state";
import { syncRoots } from "./sync";
import { commitZap, type InvalidList, prepareZap } from "./zap";

/** Present bit: the only one a PAE PDPTE of ours has. */
const PDPTE_PRESENT = 1;

/** Gives the vCPU a root for its present registers and syncs it (kvm_mmu_load). */
export function loadRoots(state: MmuState, context: MmuContext): void {
  context.caches.topUp();
  const { rootRole, guestRules } = context.mode;
  const isLong =
    roleLevel(rootRole) > PAE_LEVELS && (context.direct || guestRules.format.levels > 3);
  if (!isLong && context.isNested) allocateSpecialRoots(state, context.mmu);
  // Those that are memory may have to be brought in, which takes sleep.
  const pdptes = isLong ? context.pdptrs : pdptesOf(context, state.guestTables);
  state.lock.take(context.caches);
  makePagesAvailable(state);
  context.root = isLong ? longRoot(state, context) : paeRoot(state, context, pdptes);
  if (context.root.kind !== "none" && state.trace.wants("root_load"))
    state.trace.emit("root_load", { vcpu: context.id, ...describe(context.root) });
  syncRoots(state, context);
  state.lock.give();
  state.flushTlb(context, "root loaded");
}

/** A page of four or five levels: over the table of CR3, or over all guest memory. */
function longRoot(state: MmuState, context: MmuContext): Root {
  const { mode } = context;
  // Two-dimensional: one tree for all of guest physical memory, whatever CR3 says.
  if (context.direct) return directRoot(state, context);
  const { pgd } = context;
  const frame = topFrame(context);
  if (!isVisible(state, frame)) return absentRoot(state, context, pgd);
  return { kind: "page", page: takeRoot(state, context, frame, mode.rootRole), pgd };
}

function directRoot(state: MmuState, context: MmuContext): Root {
  const { rootRole } = context.mode;
  if (!state.tdpMmu)
    return { kind: "page", page: takeRoot(state, context, gfn(0), rootRole), pgd: 0n };
  const page =
    takeTdpRoot(state, rootRole) ?? (makeTdpRoom(state) ? takeTdpRoot(state, rootRole) : undefined);
  if (page) return { kind: "page", page, pgd: 0n };
  context.failure = noFrameText(context);
  return NO_ROOT;
}

/** Up to four level-2 pages, a GiB each, behind the four words of `pae_root`. */
function paeRoot(state: MmuState, context: MmuContext, pdptes: PdpteRegisters): Root {
  const { mode, direct } = context;
  const pgd = direct ? 0n : context.pgd;
  const { paeRoot: words } = context.mmu;
  if (words === undefined) throw new Error("a PAE root without its four words");
  const role = withLevel(mode.rootRole, PAE_LEVELS - 1);
  const wide = (role & ROLE.has4ByteGpte) === 0;
  if (!wide && !isVisible(state, topFrame(context))) return absentRoot(state, context, pgd);
  if (wide && !direct && state.profile.absentRoot === "triple-fault") {
    const at = [0, 1, 2, 3].findIndex((i) => leadsNowhere(state, pdptrTable(pdptes, i)));
    if (at >= 0) return tripleFault(state, context, `PDPTE ${at}`, pdpteValue(pdptes, at));
  }
  const pages: (ShadowPage | undefined)[] = [];
  for (let i = 0; i < PAE_ROOTS; i++) {
    const frame = direct ? gfn(i << 18) : wide ? pdptrTable(pdptes, i) : topFrame(context);
    const absent = frame === undefined || !(direct || isVisible(state, frame));
    const page = absent
      ? undefined
      : takeRoot(state, context, frame, wide ? role : withQuadrant(role, i));
    pages.push(page);
    const word = 2 * (words + i);
    state.words[word] = page ? pfnLo(pfnOf(page.spt)) | wordBits(context.mmu) : 0;
    state.words[word + 1] = page ? pfnHi(pfnOf(page.spt)) : 0;
  }
  return { kind: "pae", pages, pgd };
}

const isVisible = (state: MmuState, frame: Gfn): boolean =>
  state.slotSets[0]!.find(frame)?.visible === true;

const leadsNowhere = (state: MmuState, frame: Gfn | undefined): boolean =>
  frame !== undefined && !isVisible(state, frame);

/** CR3 points outside the slots: every access faults, or, in older kernels, the vCPU shuts down. */
function absentRoot(state: MmuState, context: MmuContext, pgd: bigint): Root {
  if (state.profile.absentRoot === "triple-fault") return tripleFault(state, context, "CR3", pgd);
  return { kind: "dummy", pgd };
}

/** mmu_check_root: there is no root, and the entry ends in a shutdown. */
function tripleFault(state: MmuState, context: MmuContext, what: string, value: bigint): Root {
  context.tripleFault = `triple fault: ${what} 0x${value.toString(16)} points outside the memslots, where kernels ${state.profile.kernels} shut the vCPU down`;
  return NO_ROOT;
}

/** Frame of the table that CR3 names outside PAE paging. */
const topFrame = ({ mode, pgd }: MmuContext): Gfn =>
  gfnOf(gpa(topTable(mode.guestRules.format.mode, pgd)));

/** The page directory that PDPTE `index` points at; undefined when it is absent. */
function pdptrTable(pdptes: PdpteRegisters, index: number): Gfn | undefined {
  const lo = pdptes[2 * index]!;
  return lo & PDPTE_PRESENT ? gfnOf(gpa(tableAddress(lo, pdptes[2 * index + 1]!))) : undefined;
}

const pdpteValue = (pdptes: PdpteRegisters, index: number): bigint =>
  spteValue(pdptes[2 * index]!, pdptes[2 * index + 1]!);

/** What a word of `pae_root` has besides the address of its page. */
export const wordBits = ({ specialRoot }: KvmMmu): number =>
  specialRoot === undefined ? PDPTE_PRESENT : SPECIAL_ROOT_BITS;

function takeRoot(state: MmuState, context: MmuContext, frame: Gfn, role: RoleWord): ShadowPage {
  const page = getShadowPage(state, context, frame, role);
  page.rootCount++;
  return page;
}

/** Lets go of a root slot; an invalid page goes with its last one. Returns the empty slot. */
function freeRoot(
  state: MmuState,
  context: MmuContext,
  mmu: KvmMmu,
  root: Root,
  list: InvalidList,
): Root {
  if (root.kind === "none") return root;
  for (const page of rootPages(root)) {
    if (page.tdpMmuPage) {
      putTdpRoot(state, page);
      continue;
    }
    page.rootCount--;
    if (page.rootCount === 0 && page.invalid) prepareZap(state, page, list);
  }
  if (root.kind === "pae" && mmu.paeRoot !== undefined)
    state.words.fill(0, 2 * mmu.paeRoot, 2 * (mmu.paeRoot + PAE_ROOTS));
  if (state.trace.wants("root_free"))
    state.trace.emit("root_free", { vcpu: context.id, ...describe(root) });
  return NO_ROOT;
}

/** Frees the slots of `mmu` for which `which` is true; the current one is number -1 (kvm_mmu_free_roots). */
function freeRoots(
  state: MmuState,
  context: MmuContext,
  mmu: KvmMmu,
  which: (root: Root, slot: number) => boolean,
): void {
  const list: InvalidList = [];
  if (which(mmu.root, -1)) mmu.root = freeRoot(state, context, mmu, mmu.root, list);
  for (let i = 0; i < PREV_ROOTS; i++) {
    const root = mmu.prevRoots[i]!;
    if (which(root, i)) mmu.prevRoots[i] = freeRoot(state, context, mmu, root, list);
  }
  commitZap(state, list);
}

/** Frees the current and all cached roots, for L2 too (kvm_mmu_unload): what a change of mode begins with. */
export function unloadRoots(state: MmuState, context: MmuContext): void {
  for (const mmu of context.mmus) freeRoots(state, context, mmu, () => true);
  dropMmioCache(context);
}

/** Frees the current root only: what it was built from has changed (KVM_MMU_ROOT_CURRENT). */
export function freeCurrentRoot(state: MmuState, context: MmuContext): void {
  freeRoots(state, context, context.mmu, (_root, slot) => slot < 0);
}

/** MMU_FREE_OBSOLETE_ROOTS: special roots have no generation to look at and go as well. */
export function freeObsoleteRoots(state: MmuState, context: MmuContext): void {
  for (const mmu of context.mmus)
    freeRoots(state, context, mmu, (root) => root.kind !== "page" || state.isObsolete(root.page));
}

/** Frees cached roots that would need a sync (kvm_mmu_sync_prev_roots). */
export function freeUnsyncPrevRoots(state: MmuState, context: MmuContext): void {
  freeRoots(
    state,
    context,
    context.mmu,
    (root, slot) =>
      slot >= 0 && rootPages(root).some((page) => page.unsync || page.unsyncChildren > 0),
  );
}

/** Frees cached roots of one PCID, whose translations the guest has flushed. */
export function freePrevRootsOfPcid(state: MmuState, context: MmuContext, pcid: number): void {
  freeRoots(
    state,
    context,
    context.mmu,
    (root, slot) => slot >= 0 && root.kind !== "none" && pcidOf(root.pgd) === pcid,
  );
}

/** Frees roots of `guest_mmu` by the tables they shadow: what is built for them next is synced first. */
export function freeGuestRoots(
  state: MmuState,
  context: MmuContext,
  of: (pgd: bigint) => boolean,
): void {
  const { guestMmu } = context;
  if (guestMmu) freeRoots(state, context, guestMmu, (root) => root.kind !== "none" && of(root.pgd));
}

/** Bits 11:0 of CR3 (SDM 3A 4.10.1). */
export const pcidOf = (pgd: bigint): number => Number(pgd & 0xfffn);

/**
 * CR3 takes another value (kvm_mmu_new_pgd): a cached root with it becomes current as it is, to be
 * synced only if the guest asked for a flush. Otherwise the root is built at the next entry.
 */
export function switchPgd(state: MmuState, context: MmuContext, pgd: bigint): void {
  if (state.profile.cachedRoots === 0) {
    freeCurrentRoot(state, context);
    dropMmioCache(context);
    return;
  }
  const list: InvalidList = [];
  if (context.root.kind !== "page")
    context.root = freeRoot(state, context, context.mmu, context.root, list);
  const hit = rotate(state, context, pgd, list);
  commitZap(state, list);
  if (!hit) return;
  state.request(context, "loadMmuPgd");
  dropMmioCache(context);
  for (const page of rootPages(context.root)) page.writeFloodingCount = 0;
}

/** Moves the current root to the front of the cached ones, looking for a match among them. */
function rotate(state: MmuState, context: MmuContext, pgd: bigint, list: InvalidList): boolean {
  const usable = (root: Root): boolean =>
    root.kind === "page" &&
    (root.page.direct || root.pgd === pgd) &&
    root.page.role === context.mode.rootRole;
  const { prevRoots } = context;
  if (usable(context.root)) return true;
  const at = prevRoots.findIndex(usable);
  const current = context.root;
  if (current.kind === "none") {
    if (at < 0) return false;
    context.root = prevRoots[at]!;
    prevRoots.splice(at, 1);
    prevRoots.push(NO_ROOT);
    return true;
  }
  context.root = at < 0 ? NO_ROOT : prevRoots[at]!;
  const evicted = at < 0 ? prevRoots[PREV_ROOTS - 1]! : NO_ROOT;
  prevRoots.splice(at < 0 ? PREV_ROOTS - 1 : at, 1);
  prevRoots.unshift(current);
  freeRoot(state, context, context.mmu, evicted, list);
  if (state.trace.wants("root_cache"))
    state.trace.emit("root_cache", { vcpu: context.id, hit: at >= 0, ...describe(current) });
  return at >= 0;
}

const describe = (root: Root) => ({
  kind: root.kind,
  pgd: root.kind === "none" ? undefined : root.pgd,
  sp: root.kind === "page" ? root.page.serial : undefined,
});
