import {
  type HostAction,
  type HostActionOutcome,
  type HostPage,
  type HostProcess,
  type MemoryReport,
  performHostAction,
} from "../host";
import { type Hva, PAGE_SIZE, type Trace } from "../x86";
import { type Refusal, refuse } from "./refusal";

/** Least memory, in bytes, that a host can be held to: below, no instruction gets all its pages at once. */
export const MIN_HOST_MEMORY = 2 ** 20;

/** Why the host cannot be held to so many bytes. */
export const wrongHostMemory = (bytes: number): Refusal | undefined =>
  bytes >= MIN_HOST_MEMORY && bytes % PAGE_SIZE === 0
    ? undefined
    : refuse(
        `host memory: ${bytes} bytes is less than 1M or not a multiple of 4K: choose more, say 16M`,
      );

/** What a debugger may make the host do behind the guest's back, while the machine is stopped. */
export class HostControl {
  constructor(
    private readonly process: HostProcess,
    private readonly trace: Trace,
  ) {}

  perform(action: HostAction, at: Hva): HostActionOutcome {
    return performHostAction(this.process, this.trace, action, at);
  }
  /** Swaps out so many pages, those not used lately; how many went. */
  reclaim(pages: number): number {
    return this.process.reclaim(pages);
  }
  /** Calls the shrinker for so many shadow pages; how many went. */
  shrink(pages: number): number {
    return this.process.shrinkers.shrink(pages);
  }
  /** Bytes of memory that the host may use before it reclaims; undefined for all it has. */
  limit(bytes: number | undefined): Refusal | undefined {
    const wrong = bytes === undefined ? undefined : wrongHostMemory(bytes);
    if (!wrong) this.process.limit = bytes === undefined ? undefined : bytes / PAGE_SIZE;
    return wrong;
  }
  report(): MemoryReport {
    return this.process.memoryReport();
  }
  page(at: Hva): HostPage | undefined {
    return this.process.page(at);
  }
}
