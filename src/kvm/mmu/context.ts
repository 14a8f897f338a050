import {
  type Gfn,
  type Gpa,
  type PageModificationLog,
  type PdpteRegisters,
  pdpteRegisters,
  WalkResult,
} from "../../x86";
import { type GuestMode, type NestedExit, nestedPgd } from "../nested/guest-mode";
import type { DirtyRing } from "./dirty/ring";
import { Fault } from "./fault-state";
import type { GuestCpu } from "./guest-cpu";
import { KvmMmu, type MmuMode } from "./kvm-mmu";
import { MemoryCaches } from "./memory-caches";
import { REQUEST, type Request } from "./requests";
import { ROLE, roleLevel } from "./role";
import { PAE_LEVELS, type Root } from "./root";
import type { Sptep } from "./spte";
import { newVcpuStats, type VcpuStats } from "./stats";
import { newWriteRun } from "./write-run";

/** The last translation that turned out to be mmio (`mmio_gva`, `mmio_gfn`, `mmio_access`, `mmio_gen`). */
export interface MmioCache {
  /** Page address; `undefined` in a direct MMU, where the gfn alone decides. */
  readonly gva: bigint | undefined;
  readonly gfn: Gfn;
  readonly access: number;
  readonly generation: number;
}

/** Exits that the VMM must answer before the vCPU can go on; after SHUTDOWN it never does. */
export type UserExit = "DIRTY_RING_FULL" | "SHUTDOWN";

/** A page fault for the guest. */
export interface InjectedFault {
  readonly error: number;
  readonly cr2: bigint;
}

/**
 * What a vCPU keeps for its MMU: its `kvm_mmu`s, mmio cache, requests. `root`, `prevRoots`, `mode` and
 * `paeRoot` are those of the MMU that handles its faults now (`vcpu->arch.mmu`).
 */
export class MmuContext {
  /** For the guest itself (L1), and for a nested guest (L2) to which L1 gave no second dimension. */
  readonly rootMmu: KvmMmu;
  /** Shadows the second dimension that L1 gave to L2: built at the first such entry. */
  guestMmu: KvmMmu | undefined;
  /** `vcpu->arch.mmu`: one of the two above. */
  mmu: KvmMmu;
  /**
   * Mode of `nested_mmu`, which only walks: the tables of an L2 that has a second dimension of L1's.
   * Present exactly while `mmu` is `guestMmu`.
   */
  nestedMode: MmuMode | undefined;
  /** Present while L2 runs. */
  guestMode: GuestMode | undefined;
  /** What L1 is to be told, L2 having made it exit; nothing runs until it is taken. */
  nestedExit: NestedExit | undefined;
  mmioCache: MmioCache | undefined;
  /** The guest's PDPTEs as PAE paging loaded them last: walks and roots use these, not memory (SDM 3A 4.4.1). */
  readonly pdptrs: PdpteRegisters = pdpteRegisters();
  /** Where the hardware logs dirty flags it sets; absent where it cannot. */
  pml: PageModificationLog | undefined;
  /** The vCPU's dirty ring, where the VM has those. */
  ring: DirtyRing | undefined;
  /** Why the vCPU is back in userspace and stays there until it is entered again (`exit_reason`). */
  userExit: UserExit | undefined;
  /** Why the entry at hand ends in a shutdown, as a sentence (KVM_REQ_TRIPLE_FAULT). */
  tripleFault: string | undefined;
  /** `REQUEST` bits. */
  requests = 0;
  /** Where the last emulation was replaced by zapping the table: the same again is emulated. */
  lastUnprotect: { readonly rip: bigint; readonly address: bigint } | undefined;
  readonly caches = new MemoryCaches();
  readonly writeRun = newWriteRun();
  /** The guest's own fault that the last fault turned out to be; taken by the vCPU. */
  injected: InjectedFault | undefined;
  /** Why the vCPU cannot go on: a sentence for the person. */
  failure: string | undefined;
  readonly stats: VcpuStats = newVcpuStats();
  /** The fault being handled, and the guest walk made for it: overwritten by the next. */
  readonly fault = new Fault();
  readonly walk = new WalkResult<Gpa>();
  /** The walk of L2's own tables, each step of which takes a walk of L1's. */
  readonly nestedWalk = new WalkResult<Gpa>();

  constructor(
    readonly id: number,
    readonly cpu: GuestCpu,
    mode: MmuMode,
    paeRoot: Sptep,
  ) {
    this.rootMmu = new KvmMmu(mode, paeRoot);
    this.mmu = this.rootMmu;
  }

  get root(): Root {
    return this.mmu.root;
  }
  set root(root: Root) {
    this.mmu.root = root;
  }
  get prevRoots(): Root[] {
    return this.mmu.prevRoots;
  }
  get mode(): MmuMode {
    return this.mmu.mode;
  }
  /** Mode of `vcpu->arch.walk_mmu`: what the running guest's own registers mean. */
  get walkMode(): MmuMode {
    return this.nestedMode ?? this.mmu.mode;
  }
  set walkMode(mode: MmuMode) {
    if (this.nestedMode) this.nestedMode = mode;
    else this.mmu.mode = mode;
  }
  /** Of the MMU in use. */
  get roots(): readonly Root[] {
    return this.mmu.roots;
  }
  /** All there are, each with roots of its own. */
  get mmus(): readonly KvmMmu[] {
    return this.guestMmu ? [this.rootMmu, this.guestMmu] : [this.rootMmu];
  }
  /** L2 runs with a second dimension that L1 gave it (mmu_is_nested). */
  get isNested(): boolean {
    return this.nestedMode !== undefined;
  }
  /** The top table of what `mmu` shadows (get_guest_pgd). */
  get pgd(): bigint {
    const nestedPaging = this.guestMode?.nestedPaging;
    return nestedPaging ? nestedPgd(nestedPaging) : this.cpu.cr3;
  }

  get direct(): boolean {
    return (this.mode.rootRole & ROLE.direct) !== 0;
  }
  /**
   * Two-dimensional: the guest's tables are the hardware's affair, whatever its mode. A guest that does not
   * page has a PAE root under shadow paging; roots of TDP have more levels.
   */
  get tdp(): boolean {
    return this.isNested || (this.direct && roleLevel(this.mode.rootRole) > PAE_LEVELS);
  }
  has(request: Request): boolean {
    return (this.requests & REQUEST[request]) !== 0;
  }
}
