import type { HostMemory, HostProcess } from "../host";
import type { PagingFeatures, Pfn, Trace } from "../x86";
import type { UserExit } from "./mmu/context";
import type { ModeRegisters } from "./mmu/cpu-role";
import { DEFAULT_KNOBS, type MmuKnobs } from "./mmu/knobs";
import type { MmuMode } from "./mmu/kvm-mmu";
import { shadowMode, tdpMode } from "./mmu/mode";
import type { Sptep } from "./mmu/spte";
import { spteFormat } from "./mmu/spte-format";
import { MmuState } from "./mmu/state";
import { nestedEptMode } from "./nested/ept-mode";
import type { NestedPaging } from "./nested/guest-mode";
import { nestedNptMode } from "./nested/npt-mode";
import { MODERN, type Profile } from "./profile";
import { TdpMmu } from "./tdp/tdp-mmu";
import { type TdpHardware, tdpHardware } from "./tdp-hardware";

/** What stands between guest and host memory: shadow pages of the guest's tables, EPT, or NPT. */
export type PagingEngine = "shadow" | "ept" | "npt";

/** What a VM is made on. */
export interface VmOptions {
  /** The machine's memory, the same that `host` lies in. */
  readonly memory: WebAssembly.Memory;
  readonly host: HostMemory;
  readonly process: HostProcess;
  readonly trace: Trace;
  /** What the guest's CPUID says about paging. */
  readonly features: PagingFeatures;
  /** MAXPHYADDR of the host, which sptes are bound by: 46 when absent. */
  readonly hostPhysicalBits?: number;
  /** Whose tables the hardware walks. Shadow paging when absent. */
  readonly paging?: PagingEngine;
  /**
   * With EPT or NPT: trees of the TDP MMU rather than shadow pages for the direct roots, as in kernels
   * since 5.10. True when absent, in eras that have it.
   */
  readonly tdpMmu?: boolean;
  /** The modern era when absent. */
  readonly profile?: Profile;
  /** Module parameters that are not as kernels have them by default. */
  readonly knobs?: Partial<MmuKnobs>;
}

const HOST_PHYSICAL_BITS = 46;

/** The parts of a VM that its vCPUs work with. */
export class VmCore {
  readonly memory: WebAssembly.Memory;
  readonly features: PagingFeatures;
  readonly state: MmuState;
  /** Absent under shadow paging. */
  readonly tdp: TdpHardware | undefined;
  /** A page of zeros for vCPUs whose CR3 points outside memory: every access faults. */
  readonly dummyRoot: Pfn;
  /** Called at each VM entry with the vCPU's number, all requests served: the place to check invariants. */
  onEntry: ((vcpu: number) => void) | undefined;
  /** Called when KVM_RUN returns to userspace; what it can answer at once need not stop the vCPU. */
  onUserExit: ((vcpu: number, exit: UserExit) => void) | undefined;

  constructor(options: VmOptions) {
    this.memory = options.memory;
    this.features = options.features;
    const profile = options.profile ?? MODERN;
    const hardware = options.paging === "ept" ? "ept" : "x86";
    const hostBits = options.hostPhysicalBits ?? HOST_PHYSICAL_BITS;
    const format = spteFormat(hardware, profile.era, hostBits);
    const { host, process: owner, trace, paging = "shadow" } = options;
    this.state = new MmuState(host, owner, trace, profile, format, treesFor(options, profile));
    const eagerPageSplit = this.state.tdpMmu !== undefined;
    const knobs = { ...DEFAULT_KNOBS, eagerPageSplit, ...options.knobs };
    this.state.knobs = { ...knobs, nxHugePages: knobs.nxHugePages && profile.era === "modern" };
    if (paging !== "shadow")
      this.tdp = tdpHardware(paging, this.features, hostBits, profile, this.state.knobs);
    this.state.pml = this.tdp?.pml ?? false;
    // The second dimension translates no more bits than the host has; older kernels did not look.
    if (this.tdp && profile.era === "modern") this.state.gpaBits = hostBits;
    this.state.tdpEnabled = this.tdp !== undefined;
    this.dummyRoot = this.allocateLow();
  }

  /** What these registers mean for the MMU of a vCPU; `guestMode` when they are L2's. */
  modeOf(registers: ModeRegisters & { readonly pkru: number }, guestMode = false): MmuMode {
    const { tdp, features } = this;
    return tdp
      ? tdpMode(registers, features, tdp, guestMode)
      : shadowMode(registers, features, this.state.format.physicalBits, guestMode);
  }

  /** What a second dimension of L1's means for the MMU that shadows it. */
  nestedModeOf(nestedPaging: NestedPaging): MmuMode {
    const { tdp, features } = this;
    const { physicalBits } = this.state.format;
    const isEpt = "eptp" in nestedPaging;
    if (tdp?.vendor !== (isEpt ? "vmx" : "svm"))
      throw new Error("nested paging of another vendor than the host's, or without the host's");
    return isEpt
      ? nestedEptMode(nestedPaging, features, physicalBits)
      : nestedNptMode(nestedPaging, features, tdp, physicalBits);
  }

  /** First word of a new `pae_root`: below 4 GiB, as a PAE CR3 has 32 bits. */
  allocatePaeRoot(): Sptep {
    return this.state.wordOf(this.allocateLow());
  }

  private allocateLow(): Pfn {
    const frame = this.state.memory.allocate("low");
    if (frame === undefined) throw new Error("zone low is too small for the roots of this VM");
    return frame;
  }
}

function treesFor(options: VmOptions, profile: Profile): TdpMmu | undefined {
  const { paging = "shadow", tdpMmu = true, knobs } = options;
  // Kernels have it on 64-bit hosts only.
  const possible = profile.tdpMmu && !knobs?.host32;
  return paging !== "shadow" && possible && tdpMmu ? new TdpMmu() : undefined;
}
