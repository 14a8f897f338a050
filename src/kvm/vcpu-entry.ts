import { type Hpa, hpaOf, type WalkRoot } from "../x86";
import type { MmuContext, UserExit } from "./mmu/context";
import { REQUEST, REQUEST_NAMES, type Request } from "./mmu/requests";
import { PAE_ROOTS } from "./mmu/root";
import { freeObsoleteRoots, freeUnsyncPrevRoots, loadRoots } from "./mmu/roots";
import type { Sptep } from "./mmu/spte";
import { syncRoots } from "./mmu/sync";
import type { HardwareTables } from "./vcpu-paging";
import type { VmCore } from "./vm-core";

/** The way from exit to entry: requests in KVM's order, then a root, then the hardware's registers. */
export class VcpuEntry {
  /** The root the hardware has; its TLB is good for no other. */
  private loaded: WalkRoot<Hpa> | undefined;
  private paeWords: { readonly first: Sptep; readonly words: Uint32Array } | undefined;

  constructor(
    private readonly vm: VmCore,
    private readonly mmu: MmuContext,
    private readonly tables: HardwareTables,
  ) {}

  enter(): void {
    const { mmu, vm } = this;
    if (mmu.failure) return;
    mmu.userExit = undefined;
    mmu.tripleFault = undefined;
    if (mmu.requests !== 0) {
      if (this.mustExit()) return;
      this.serveRequests();
    }
    if (mmu.root.kind === "none") {
      loadRoots(vm.state, mmu);
      if (mmu.tripleFault) {
        this.leaveFor("SHUTDOWN");
        return;
      }
    }
    this.loadHardware();
    const { trace } = vm.state;
    if (trace.wants("kvm_entry")) trace.emit("kvm_entry", { vcpu: mmu.id, rip: mmu.cpu.rip });
    vm.onEntry?.(mmu.id);
  }

  /** A dirty ring that is nearly full must be emptied by the VMM first (kvm_dirty_ring_check_request). */
  private mustExit(): boolean {
    const { mmu, vm } = this;
    if (!mmu.has("dirtyRingSoftFull")) return false;
    if (mmu.ring?.softFull) {
      const { trace } = vm.state;
      if (trace.wants("kvm_dirty_ring_exit")) trace.emit("kvm_dirty_ring_exit", { vcpu: mmu.id });
      this.leaveFor("DIRTY_RING_FULL");
      // The VMM may have answered at once.
      if (mmu.ring.softFull) return true;
      mmu.userExit = undefined;
    }
    this.take("dirtyRingSoftFull");
    return false;
  }

  private leaveFor(exit: UserExit): void {
    this.mmu.userExit = exit;
    this.vm.onUserExit?.(this.mmu.id, exit);
  }

  /** Gives the hardware the present root without a flush: its TLB was restored with it. */
  reload(): void {
    this.loaded = this.hardwareRoot();
    this.tables.rules = this.mmu.mode.hardwareRules;
    this.tables.root = this.loaded;
  }

  private serveRequests(): void {
    const { mmu } = this;
    const { state } = this.vm;
    if (this.take("freeObsoleteRoots")) freeObsoleteRoots(state, mmu);
    if (this.take("mmuSync")) syncRoots(state, mmu);
    this.take("loadMmuPgd");
    if (this.take("tlbFlush")) {
      mmu.requests &= ~REQUEST.tlbFlushCurrent;
      state.flushTlb(mmu, "requested");
    }
    if (this.take("tlbFlushCurrent")) state.flushTlb(mmu, "requested");
    if (this.take("tlbFlushGuest")) {
      syncRoots(state, mmu);
      freeUnsyncPrevRoots(state, mmu);
      state.flushTlb(mmu, "the guest flushed");
    }
  }

  private take(request: Request): boolean {
    const { mmu } = this;
    if (!mmu.has(request)) return false;
    mmu.requests &= ~REQUEST[request];
    const { trace } = this.vm.state;
    if (trace.wants("request_served"))
      trace.emit("request_served", { vcpu: mmu.id, request: REQUEST_NAMES[request] });
    return true;
  }

  private loadHardware(): void {
    const { mmu, tables } = this;
    const root = this.hardwareRoot();
    tables.rules = mmu.mode.hardwareRules;
    tables.root = root;
    if (this.loaded === root) return;
    this.loaded = root;
    mmu.cpu.flushTlb();
  }

  private hardwareRoot(): WalkRoot<Hpa> {
    const { root, mode, mmu } = this.mmu;
    if (root.kind === "page") return root.page.spt;
    if (root.kind === "pae" && mmu.specialRoot !== undefined) return mmu.specialRoot;
    // The words of `pae_root` are empty unless a root has filled them.
    const fourWords = root.kind === "pae" || mode.hardwareRules.format.rootInRegisters;
    return fourWords && mmu.paeRoot !== undefined
      ? this.wordsAt(mmu.paeRoot)
      : hpaOf(this.vm.dummyRoot);
  }

  /** The same view for the same words: the hardware is given a root only when it is another. */
  private wordsAt(first: Sptep): Uint32Array {
    if (this.paeWords?.first !== first) {
      const words = this.vm.state.words.subarray(2 * first, 2 * (first + PAE_ROOTS));
      this.paeWords = { first, words };
    }
    return this.paeWords.words;
  }
}
