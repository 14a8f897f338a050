import type { HostMemory, HostProcess } from "../host";
import type { PagingFeatures, Pfn, Trace } from "../x86";
import type { Sptep } from "./mmu/spte";
import { MmuState } from "./mmu/state";

/** What a VM is made on. */
export interface VmOptions {
  /** The machine's memory, the same that `host` lies in. */
  readonly memory: WebAssembly.Memory;
  readonly host: HostMemory;
  readonly process: HostProcess;
  readonly trace: Trace;
  /** What the guest's CPUID says about paging; `physicalBits` is the host's as well. */
  readonly features: PagingFeatures;
}

/** The parts of a VM that its vCPUs work with. */
export class VmCore {
  readonly memory: WebAssembly.Memory;
  readonly features: PagingFeatures;
  readonly state: MmuState;
  /** A page of zeros for vCPUs whose CR3 points outside memory: every access faults. */
  readonly dummyRoot: Pfn;
  /** Called at each VM entry with the vCPU's number, all requests served: the place to check invariants. */
  onEntry: ((vcpu: number) => void) | undefined;

  constructor(options: VmOptions) {
    this.memory = options.memory;
    this.features = options.features;
    this.state = new MmuState(options.host, options.process, options.trace);
    this.dummyRoot = this.allocateLow();
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
