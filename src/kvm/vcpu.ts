import {
  ACC,
  ACCESS,
  emptyRefill,
  type FaultOutcome,
  type Gfn,
  type GuestFault,
  gpa,
  type Hpa,
  permissionFault,
  type Refill,
  type WalkRoot,
  walkAccess,
} from "../x86";
import { NO_FRAME } from "./guest-memory";
import { announceFill } from "./mmu/announce";
import { MmuContext, type UserExit } from "./mmu/context";
import { drainPml } from "./mmu/dirty/pml";
import { DirtyRing, reservedEntries } from "./mmu/dirty/ring";
import type { GuestCpu } from "./mmu/guest-cpu";
import { forgetFaulted, forgetFaultedInL2 } from "./mmu/invlpg";
import { cacheMatches } from "./mmu/mmio";
import { trackWrite } from "./mmu/pte-write";
import { freeGuestRoots } from "./mmu/roots";
import type { ShadowPage } from "./mmu/shadow-page";
import { walkGuest } from "./mmu/walk-guest";
import { emulationFailed } from "./mmu/write-protect-decision";
import { msrExits } from "./msr-exits";
import { sameEp4ta } from "./nested/ept-mode";
import type { GuestModeEntry, NestedExit } from "./nested/guest-mode";
import { reflect } from "./nested/nested-exit";
import { enterGuestMode, leaveGuestMode, restoreGuestMode } from "./nested/switch";
import { walkL2 } from "./nested/walk-l2";
import { VcpuEntry } from "./vcpu-entry";
import { type ExitReason, VcpuExits } from "./vcpu-exits";
import type { VcpuPaging } from "./vcpu-paging";
import { ShadowPaging } from "./vcpu-shadow";
import { TdpPaging } from "./vcpu-tdp";
import type { VmCore } from "./vm-core";

/** Error-code bits of an access: W, U, F. */
const ACCESS_BITS = ACCESS.write | ACCESS.user | ACCESS.fetch;

/**
 * One virtual processor as the hypervisor sees it: what a `Board` asks about memory and control
 * registers. Each call is a VM exit, handled, and the entry back.
 */
export class Vcpu {
  readonly mmu: MmuContext;
  readonly exits: VcpuExits;
  private readonly paging: VcpuPaging;
  private readonly entry: VcpuEntry;
  private readonly answer = emptyRefill();

  constructor(
    readonly vm: VmCore,
    readonly id: number,
    readonly cpu: GuestCpu,
  ) {
    this.mmu = new MmuContext(id, cpu, vm.modeOf(cpu), vm.allocatePaeRoot());
    vm.state.contexts.push(this.mmu);
    this.exits = new VcpuExits(vm, this.mmu);
    const { mmu, exits } = this;
    const entry = (): VcpuEntry => this.entry;
    this.paging = vm.tdp
      ? new TdpPaging(vm, mmu, vm.tdp, exits, entry)
      : new ShadowPaging(vm, mmu, exits, entry);
    this.entry = new VcpuEntry(vm, mmu, this.paging.tables);
    const { usesRing, ringEntries } = vm.state.dirtyLogMode;
    if (usesRing) mmu.ring = new DirtyRing(id, ringEntries, reservedEntries(vm.state.pml));
  }

  /** Does what this vCPU does in KVM: frames it dirties go into its own ring. */
  private runs<T>(work: () => T): T {
    const { state } = this.vm;
    const before = state.running;
    state.running = this.mmu;
    const result = work();
    state.running = before;
    return result;
  }

  /** A sentence why the guest cannot go on under this hypervisor now; the machine stops on it. */
  get failure(): string | undefined {
    return this.mmu.failure;
  }
  /** … and forgets it: whoever goes on finds out anew. */
  takeFailure(): string | undefined {
    const { failure } = this.mmu;
    this.mmu.failure = undefined;
    return failure;
  }
  /** Why it is in userspace: it runs no further until the VMM has answered and enters it again. */
  get userExit(): UserExit | undefined {
    return this.mmu.userExit;
  }
  /** Why it was shut down by the entry that ended so. */
  get tripleFault(): string | undefined {
    return this.mmu.tripleFault;
  }
  /** Frames it has dirtied, where the VM keeps rings. */
  get dirtyRing(): DirtyRing | undefined {
    return this.mmu.ring;
  }
  /** What the hardware CR3, the EPTP or nCR3 holds. */
  get hardwareRoot(): WalkRoot<Hpa> {
    return this.paging.tables.root;
  }

  /** Serves what is requested and loads a root: call before the guest runs. Changes nothing the second time. */
  enter(): void {
    this.runs(() => this.entry.enter());
  }

  /** An exit that is not the MMU's affair: announced and counted like the others. */
  exited(reason: ExitReason, info1: number): void {
    this.exits.announce(reason, BigInt(info1));
    drainPml(this.vm.state, this.mmu);
  }

  /** Whether the guest exits for an MSR that is the processor's own. */
  exitsForMsr(write: boolean, index: number): boolean {
    return msrExits(this.vm.tdp?.vendor ?? "vmx", write, index);
  }

  /** The hardware walk: over the shadow tables, or in two dimensions. */
  refill(va: bigint, access: number): Refill {
    const { mmu } = this;
    if (mmu.failure || mmu.nestedExit) return { ...this.answer, kind: "fault", error: 0 };
    if (mmu.requests !== 0 || mmu.root.kind === "none") this.enter();
    if (mmu.userExit) return { ...this.answer, kind: "fault", error: 0 };
    const { state } = this.vm;
    // Not by way of `runs`: every TLB miss comes here.
    const before = state.running;
    state.running = mmu;
    const refill = this.paging.refill(va, access);
    state.running = before;
    if (refill.kind === "ram") announceFill(state, mmu, va, refill);
    return refill;
  }

  pageFault(va: bigint, error: number): FaultOutcome {
    if (this.mmu.userExit || this.mmu.nestedExit) return { kind: "retry" };
    return this.runs(() => this.paging.pageFault(va, error));
  }

  /** Where an access of an emulated instruction goes: guest tables, then slots. The same object each time. */
  emulate(va: bigint, access: number): Refill {
    return this.runs(() => this.reach(va, access));
  }

  private reach(va: bigint, access: number): Refill {
    const { mmu, answer, vm } = this;
    const { state } = vm;
    answer.allow = 0;
    answer.level = 1;
    const offset = Number(va & 0xfffn);
    const cached = this.cachedMmio(va, access);
    if (cached !== undefined) {
      answer.kind = "device";
      answer.gpa = cached;
      return answer;
    }
    const refused = this.paging.beforeGuestWalk(va, access);
    if (refused !== 0) {
      answer.kind = "fault";
      answer.error = refused;
      return answer;
    }
    const frame = mmu.isNested ? this.frameOfL2(va, access) : this.frameOf(va, access);
    if (frame === undefined) {
      answer.kind = "fault";
      return answer;
    }
    answer.gpa = frame * 4096 + offset;
    answer.offset = state.guest.frameOffset(frame, (access & ACCESS.write) !== 0);
    answer.kind = answer.offset === NO_FRAME ? "device" : "ram";
    if (answer.kind === "device") mmu.stats.mmio_exits++;
    return answer;
  }

  /** The frame that the guest's tables lead to; undefined with the guest's fault in `answer`. */
  private frameOf(va: bigint, access: number): Gfn | undefined {
    const { mmu, answer } = this;
    const { state } = this.vm;
    const walk = walkGuest(state, mmu, va, access & ACCESS_BITS);
    if (walk.kind === "translation") return walk.frame;
    forgetFaulted(state, mmu, va, walk.error);
    answer.error = walk.error;
    return undefined;
  }

  /** The same through L2's tables and L1's: `undefined` may also come with a nested exit. */
  private frameOfL2(va: bigint, access: number): Gfn | undefined {
    const { mmu, answer } = this;
    const { state } = this.vm;
    const found = walkL2(state, mmu, va, access & ACCESS_BITS);
    if (found.kind === "translation") return found.frame;
    answer.error = 0;
    if (found.kind === "refused") reflect(state, mmu, found.by);
    else {
      forgetFaultedInL2(state, mmu, va, found.error);
      answer.error = found.error;
    }
    return undefined;
  }

  /** The mmio cache is asked before any walk, as long as its access bits allow the access. */
  private cachedMmio(va: bigint, access: number): number | undefined {
    const { mmu, vm } = this;
    const cache = mmu.mmioCache;
    // With two dimensions it is kept by gfn, and only a walk tells which one this is.
    if (vm.tdp) return undefined;
    if (!cache || !cacheMatches(vm.state, mmu, va)) return undefined;
    // Without W the gpte may have D clear, which only a walk can set.
    if (access & ACCESS.write && !(cache.access & ACC.write)) return undefined;
    const { permissions } = mmu.mode.guestRules;
    const asked = walkAccess(access, this.cpu.ac);
    if (!mmu.direct && permissionFault(permissions, 0, 0, cache.access, 0, asked)) return undefined;
    mmu.stats.mmio_exits++;
    return cache.gfn * 4096 + Number(va & 0xfffn);
  }

  /** Memory first, then the shadow pages that stand for it: always in this order. */
  emulatedStore(at: number, bytes: Uint8Array): void {
    const { state } = this.vm;
    this.runs(() => {
      if (state.guest.write(gpa(at), bytes)) trackWrite(state, this.mmu, gpa(at), bytes.length);
    });
  }

  /** The instruction cannot be emulated. True when it can be run natively after all: try again. */
  emulationFailed(): boolean {
    return emulationFailed(this.vm.state, this.mmu);
  }

  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.runs(() => this.paging.cr0Written(old, value));
  }
  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined {
    return this.runs(() => this.paging.cr3Written(old, value, noFlush));
  }
  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.runs(() => this.paging.cr4Written(old, value));
  }
  eferWritten(old: bigint, value: bigint): void {
    this.runs(() => this.paging.eferWritten(old, value));
  }
  /** Userspace has set CR0, CR3, CR4 or EFER; false = not with these PDPTEs, and nothing has changed. */
  controlsReplaced(): boolean {
    return this.runs(() => this.paging.controlsReplaced());
  }
  pkruWritten(): void {
    this.paging.pkruWritten();
  }
  invlpg(va: bigint): void {
    this.runs(() => this.paging.invlpg(va));
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.runs(() => this.paging.invpcid(type, pcid, va));
  }

  /**
   * VMRUN, as far as translation goes: the processor has L2's registers by now. False when L2's PDPTEs
   * have a reserved bit set, and nothing is changed.
   */
  enterGuestMode(entry: GuestModeEntry): boolean {
    return this.runs(() => {
      if (!enterGuestMode(this.vm, this.mmu, entry)) return false;
      this.paging.replaced();
      this.entry.enter();
      return true;
    });
  }

  /** INVEPT by L1: the contexts of one EPTP's table, or all of them. */
  invept(eptp?: bigint): void {
    this.runs(() => {
      const of = (pgd: bigint): boolean => eptp === undefined || sameEp4ta(pgd, eptp);
      freeGuestRoots(this.vm.state, this.mmu, of);
      this.entry.enter();
    });
  }

  /** #VMEXIT: the processor has L1's registers again. A nested exit that was not taken is forgotten. */
  leaveGuestMode(): void {
    this.runs(() => {
      leaveGuestMode(this.vm, this.mmu);
      this.paging.replaced();
      this.entry.enter();
    });
  }

  /**
   * What L2 did that L1 must handle; until L1 runs again, or L2 is let go on, nothing runs. An answer of
   * `emulate` or `refill` that comes with one is no fault of L2's.
   */
  get nestedExit(): NestedExit | undefined {
    return this.mmu.nestedExit;
  }

  /** The state it depends on was restored: derives what is not saved from the registers and roots. */
  restored(): void {
    restoreGuestMode(this.vm, this.mmu);
    this.mmu.failure = undefined;
    this.mmu.injected = undefined;
    this.mmu.userExit = undefined;
    this.entry.reload();
    this.paging.replaced();
  }

  /** Roots kept for a quick return, most recent first. */
  get prevRoots(): readonly (ShadowPage | undefined)[] {
    return this.mmu.prevRoots.map((root) => (root.kind === "page" ? root.page : undefined));
  }
}
