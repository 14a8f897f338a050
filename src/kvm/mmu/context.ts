import {
  type Gfn,
  type Gpa,
  type PageModificationLog,
  type PdpteRegisters,
  pdpteRegisters,
  WalkResult,
  type WalkRules,
} from "../../x86";
import type { CpuRole } from "./cpu-role";
import type { DirtyRing } from "./dirty/ring";
import { Fault } from "./fault-state";
import type { GuestCpu } from "./guest-cpu";
import { MemoryCaches } from "./memory-caches";
import { REQUEST, type Request } from "./requests";
import { ROLE, type RoleWord, roleLevel } from "./role";
import { NO_ROOT, type Root } from "./root";
import type { Sptep } from "./spte";
import { newVcpuStats, type VcpuStats } from "./stats";
import { newWriteRun } from "./write-run";

/** A guest that does not page has a PAE root under shadow paging; roots of TDP have more levels. */
const PAE_LEVELS = 3;

/** KVM_MMU_NUM_PREV_ROOTS. */
export const PREV_ROOTS = 3;

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

/** What the guest's registers mean for the MMU; made anew when a register that counts changes. */
export interface MmuMode {
  readonly cpuRole: CpuRole;
  readonly rootRole: RoleWord;
  /** See `gpteExt`. */
  readonly gpteExt: number;
  /** How the guest's own tables are walked. */
  readonly guestRules: WalkRules;
  /** How the hardware walks the shadow tables: CR0.WP = 1 and EFER.NX = 1 whatever the guest says. */
  readonly hardwareRules: WalkRules;
}

/** `kvm_mmu` of one vCPU, with what its vCPU keeps for it: roots, roles, mmio cache, requests. */
export class MmuContext {
  root: Root = NO_ROOT;
  /** Most recently used first. */
  readonly prevRoots: Root[] = new Array(PREV_ROOTS).fill(NO_ROOT);
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

  constructor(
    readonly id: number,
    readonly cpu: GuestCpu,
    public mode: MmuMode,
    /** First of the four words of `pae_root`, a frame below 4 GiB. */
    readonly paeRoot: Sptep,
  ) {}

  get direct(): boolean {
    return (this.mode.rootRole & ROLE.direct) !== 0;
  }
  /** Two-dimensional: the guest's tables are the hardware's affair, whatever its mode. */
  get tdp(): boolean {
    return this.direct && roleLevel(this.mode.rootRole) > PAE_LEVELS;
  }
  has(request: Request): boolean {
    return (this.requests & REQUEST[request]) !== 0;
  }
}
