import type { HostAction } from "../../../src/host";
import type { Vm } from "../../../src/kvm";
import type { Trace } from "../../../src/x86";
import type { PlainSlot } from "./plain-memory";
import type { Processor } from "./processor";

/** What is being tested: guest memory and processors, as the product provides them. */
export interface Subject {
  readonly processors: readonly Processor[];
  /** The hypervisor; none under `mmu: none`. */
  readonly vm: Vm | undefined;
  readonly trace: Trace;
  /** What the guest would read in a page of RAM, wherever the host keeps it. Changes nothing. */
  contents(page: number): Uint8Array;
  /** Fills a page of RAM before anything runs. */
  plant(page: number, bytes: Uint8Array): void;
  /** KVM_SET_USER_MEMORY_REGION; what it did, or the errno. */
  setSlot(slot: PlainSlot): string;
  /** Why the action was not carried out, or nothing. */
  hostAction(action: HostAction, page: number): string | undefined;
  age(how: "clear" | "clear-flush" | "test" | "reclaim", page: number, pages: number): void;
  /** The host wants shadow pages back. */
  shrink(pages: number): void;
  /** The host keeps so many frames in use at most; undefined = all it has. */
  limitMemory(frames: number | undefined): void;
  /** What the host finds wrong with itself. */
  checkHost(): readonly string[];
  /** Saves all of it and restores it. */
  restore(): void;
}
