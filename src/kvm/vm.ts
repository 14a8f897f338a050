import { type Gfn, type Hpa, pfnOf } from "../x86";
import type { GuestMemory } from "./guest-memory";
import { type MemoryRegion, type RegionOutcome, setMemoryRegion } from "./memory-region";
import { generationValue, MemorySlot } from "./memslots";
import { enableDirtyRing, setManualProtect } from "./mmu/dirty/capability";
import { clearDirtyLog, type DirtyLogRange, getDirtyLog, loggedSlot } from "./mmu/dirty/dirty-log";
import { syncHardwareLogs } from "./mmu/dirty/pml";
import { resetDirtyRings } from "./mmu/dirty/ring-reset";
import type { GuestCpu } from "./mmu/guest-cpu";
import { Checker, checkEntry, checkInvariants } from "./mmu/invariants/check";
import { VmNotifier } from "./mmu/notifier";
import { recoverNxHugePages, setNxHugePages } from "./mmu/nx-recovery";
import { type PteList, pteListCount } from "./mmu/pte-list";
import { leavesOf, rmapHead } from "./mmu/rmap";
import type { ShadowPage } from "./mmu/shadow-page";
import { MmuShrinker } from "./mmu/shrinker";
import type { Sptep } from "./mmu/spte";
import type { SpteFormat } from "./mmu/spte-format";
import type { VmStats } from "./mmu/stats";
import { zapAll } from "./mmu/zap";
import { DEFAULT_IDENTITY_MAP, identityMapAddr, setTssAddr } from "./private-slots";
import type { Profile } from "./profile";
import { type Refusal, refuse } from "./refusal";
import { restoreVm, saveVm, type VmState } from "./save";
import { tdpLeavesIn, tdpLeavesOf } from "./tdp/leaves";
import { Vcpu } from "./vcpu";
import { VmCore, type VmOptions } from "./vm-core";

/** Shadow pages and leaves that lie in one slot. */
export interface SlotCounts {
  /** Shadow pages of guest tables in the slot. */
  readonly shadowPages: number;
  /** Leaves that map its frames, at all levels. */
  readonly sptes: number;
  /** Of them those of 4K, 2M and 1G. */
  readonly byLevel: readonly number[];
}

/** A virtual machine: its memory slots, its shadow pages, its vCPUs. */
export class Vm {
  readonly core: VmCore;
  readonly vcpus: Vcpu[] = [];
  private readonly detach: () => void;
  /** gpa of the page of the identity map: fixed once there are vCPUs. */
  identityMapAddr = DEFAULT_IDENTITY_MAP;

  constructor(options: VmOptions) {
    this.core = new VmCore(options);
    const notifier = new VmNotifier(this.core.state, () => zapAll(this.core.state));
    const { process: owner } = options;
    const leave = owner.shrinkers.register(new MmuShrinker(this.core.state));
    const detach = owner.notifiers.register(notifier);
    this.detach = () => {
      leave();
      detach();
    };
  }
  /** No longer listens to the host. */
  dispose(): void {
    this.detach();
  }

  addVcpu(cpu: GuestCpu): Vcpu {
    const vcpu = new Vcpu(this.core, this.vcpus.length, cpu);
    this.vcpus.push(vcpu);
    return vcpu;
  }

  /** KVM_SET_USER_MEMORY_REGION. */
  setMemoryRegion(region: MemoryRegion): RegionOutcome {
    return setMemoryRegion(this.core.state, region);
  }
  /** KVM_SET_TSS_ADDR. */
  setTssAddr(address: number): RegionOutcome {
    return setTssAddr(this.core.state, address);
  }
  /** KVM_SET_IDENTITY_MAP_ADDR; 0 asks for the usual place. Why not, if not. */
  setIdentityMapAddr(address: number): Refusal | undefined {
    const placed = identityMapAddr(address, this.vcpus.length);
    if (typeof placed !== "number") return placed;
    this.identityMapAddr = placed;
    return undefined;
  }
  /** KVM_ENABLE_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), with `MANUAL_PROTECT` bits. */
  setManualProtect(flags: number): Refusal | undefined {
    return setManualProtect(this.core.state, flags);
  }
  /** KVM_ENABLE_CAP(KVM_CAP_DIRTY_LOG_RING), with the size of each vCPU's ring in bytes. */
  enableDirtyRing(bytes: number): Refusal | undefined {
    return enableDirtyRing(this.core.state, bytes);
  }
  /** Takes every vCPU out of the guest: what its processor has logged until then is entered. */
  kick(): void {
    syncHardwareLogs(this.core.state);
  }
  /** KVM_RESET_DIRTY_RINGS; how many entries it took back. */
  resetDirtyRings(): number | Refusal {
    const { state } = this.core;
    if (!state.dirtyLogMode.usesRing) return refuse("EINVAL", "the VM has no dirty rings");
    return resetDirtyRings(state);
  }
  /** KVM_GET_DIRTY_LOG: the bitmap of a slot, which it clears unless protection is manual. */
  getDirtyLog(slot: number): Uint32Array | Refusal {
    const { state } = this.core;
    const found = loggedSlot(state, slot);
    return found instanceof MemorySlot ? getDirtyLog(state, found) : found;
  }
  /** KVM_CLEAR_DIRTY_LOG. */
  clearDirtyLog(range: DirtyLogRange): Refusal | undefined {
    const { state } = this.core;
    const { era } = state.profile;
    if (era !== "modern")
      return refuse(
        "ENOTTY",
        `KVM_CLEAR_DIRTY_LOG came with 5.0: choose the modern era, this is ${era}`,
      );
    const found = loggedSlot(state, range.slot);
    return found instanceof MemorySlot ? clearDirtyLog(state, found, range) : found;
  }

  /** Writes the module parameter `nx_huge_pages`. */
  setNxHugePages(on: boolean): void {
    setNxHugePages(this.core.state, on);
  }
  /** A turn of the nx_huge_pages recovery worker; how many pages it took. */
  recoverNxHugePages(): number {
    return recoverNxHugePages(this.core.state);
  }

  /** Called when a vCPU is back in userspace; see `VmCore.onUserExit`. */
  set onUserExit(callback: VmCore["onUserExit"]) {
    this.core.onUserExit = callback;
  }
  /** Called at each VM entry. */
  set onEntry(callback: ((vcpu: number) => void) | undefined) {
    this.core.onEntry = callback;
  }

  // What follows only looks.

  get memory(): GuestMemory {
    return this.core.state.guest;
  }
  /** Which kernels' MMU it is. */
  get profile(): Profile {
    return this.core.state.profile;
  }
  /** The second dimension that is in use; undefined under shadow paging. */
  get tdp(): "ept" | "npt" | undefined {
    const { tdp } = this.core;
    return tdp && (tdp.vendor === "svm" ? "npt" : "ept");
  }
  /** By rising base. */
  get slots(): readonly MemorySlot[] {
    return this.core.state.slotSets[0]!.slots;
  }
  /** 64 bits; bit 63 while the slots change. */
  get generation(): bigint {
    return generationValue(this.core.state.slotSets[0]!);
  }
  get stats(): Readonly<VmStats> {
    return this.core.state.stats;
  }
  get mmuValidGen(): number {
    return this.core.state.mmuValidGen;
  }
  get usedPages(): number {
    return this.core.state.usedPages;
  }
  get maxPages(): number {
    return this.core.state.maxPages;
  }
  get indirectShadowPages(): number {
    return this.core.state.indirectShadowPages;
  }

  /** `tdp_mmu_pages`: pages in the trees of the TDP MMU, roots aside; undefined where there is none. */
  get tdpMmuPages(): number | undefined {
    return this.core.state.tdpMmu?.linkedPages;
  }

  /** Pages in use, newest first; those of the TDP MMU after the shadow pages. */
  activePages(): readonly ShadowPage[] {
    const { active, tdpMmu } = this.core.state;
    return [...active, ...[...(tdpMmu?.pages ?? [])].reverse()];
  }
  /** Zapped pages that a root slot still holds. */
  pinnedPages(): Iterable<ShadowPage> {
    return this.core.state.pinned;
  }
  /** The sptes: entry `i` of a page is the words `2 * (page.base + i)` (low half) and the next. To be read only. */
  get words(): Uint32Array {
    return this.core.state.words;
  }
  /** How to read them. */
  get format(): SpteFormat {
    return this.core.state.format;
  }
  /** The page that an rmap or parent list names an entry of. */
  pageOf(sptep: Sptep): ShadowPage {
    return this.core.state.pageOf(sptep);
  }
  /** The shadow page whose sptes lie at this host address. */
  findPage(at: Hpa): ShadowPage | undefined {
    return this.core.state.pageInFrame(pfnOf(at));
  }
  /** Pages with this gfn: shadows of the table there, or direct pages of a range that begins there. */
  pagesOf(frame: Gfn): readonly ShadowPage[] {
    const { hash, tdpMmu } = this.core.state;
    return [...hash.bucket(frame), ...(tdpMmu?.pages ?? [])].filter((page) => page.gfn === frame);
  }
  /** The rmap word of the frame of `level` that holds `frame`. */
  rmapOf(frame: Gfn, level: number): PteList {
    const slot = this.core.state.slotSets[0]!.find(frame);
    return slot ? rmapHead(slot, frame, level) : 0;
  }
  /** The leaves of all levels that map the frame: by its rmap words, then by the trees of the TDP MMU. */
  leavesOf(frame: Gfn): readonly Sptep[] {
    const { state } = this.core;
    const slot = state.slotSets[0]!.find(frame);
    return slot ? [...leavesOf(slot, frame), ...tdpLeavesOf(state, slot.asId, frame)] : [];
  }
  /** Counted by going through the slot: for views, not for every step. */
  countsOf(slot: MemorySlot): SlotCounts {
    let shadowPages = 0;
    for (const page of this.activePages())
      if (page.hasGptes && slot.contains(page.gfn)) shadowPages++;
    const byLevel = tdpLeavesIn(this.core.state, slot);
    slot.arch.rmap.forEach((heads, i) => {
      for (const head of heads) byLevel[i]! += pteListCount(head);
    });
    return { shadowPages, sptes: byLevel.reduce((sum, count) => sum + count, 0), byLevel };
  }

  /** Everything that must hold: violations as sentences. With a vCPU also what holds at its entry. */
  check(vcpu?: Vcpu): string[] {
    const { state } = this.core;
    return [...checkInvariants(state), ...(vcpu ? checkEntry(state, vcpu.mmu) : [])];
  }

  /** A check for each VM entry of a long run: see `Checker`. */
  entryCheck(): (vcpu: Vcpu) => string[] {
    const { state } = this.core;
    const checker = new Checker(state);
    return (vcpu) => [...checker.check(), ...checkEntry(state, vcpu.mmu)];
  }

  /** Plain data; the sptes themselves are bytes of host memory, which is saved on its own. */
  save(): VmState {
    return saveVm(this.core.state);
  }
  /** After the host has been restored to the same moment. */
  restore(state: VmState): void {
    restoreVm(this.core.state, state);
    for (const vcpu of this.vcpus) vcpu.restored();
  }
}
