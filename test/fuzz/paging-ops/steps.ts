import type { HostAction } from "../../../src/host";
import type { Mode } from "./setup";

/** One access of a processor, `size` bytes at a multiple of it. */
export interface AccessStep {
  readonly op: "access";
  readonly vcpu: number;
  readonly kind: "read" | "write" | "fetch";
  readonly cpl: 0 | 3;
  readonly va: bigint;
  /** What a write stores. */
  readonly value?: bigint;
  readonly size?: 1 | 2 | 4 | 8;
  /** A system access at CPL 3. */
  readonly implicit?: true;
  /** Made by the hypervisor's emulator, whose instruction left the guest for another reason. */
  readonly emulated?: true;
  /** Only by a translation that the TLB holds; where it holds none, nothing happens. */
  readonly cached?: true;
}

/**
 * Another actor's step that runs inside the step it belongs to, at the `nth` time a named point is
 * reached (0 = first).
 */
export interface Meanwhile {
  readonly point: string;
  readonly nth?: number;
  readonly step: BareStep;
}

/** What one step does. All numbers are settled: any part of a program is a program too. */
export type BareStep =
  | AccessStep
  /** Flips register bits; left out where the manual forbids the result. */
  | {
      readonly op: "flip";
      readonly vcpu: number;
      readonly register: "cr0" | "cr4" | "efer";
      readonly bits: bigint;
    }
  | {
      readonly op: "cr3";
      readonly vcpu: number;
      readonly value: bigint;
      readonly noFlush?: true;
    }
  /** Leaves paging and enters it in another mode. */
  | { readonly op: "mode"; readonly vcpu: number; readonly mode: Mode; readonly cr3: bigint }
  | { readonly op: "pkru"; readonly vcpu: number; readonly value: number }
  | { readonly op: "ac"; readonly vcpu: number; readonly on: boolean }
  | { readonly op: "invlpg"; readonly vcpu: number; readonly va: bigint }
  | {
      readonly op: "invpcid";
      readonly vcpu: number;
      readonly type: 0 | 1 | 2 | 3;
      readonly pcid: number;
      readonly va: bigint;
    }
  /** A store of a device or of the emulator, by gpa. */
  | {
      readonly op: "store";
      readonly vcpu: number;
      readonly gpa: number;
      readonly size: 1 | 2 | 4 | 8;
      readonly value: bigint;
    }
  /** `page` counts from the beginning of the host's mapping of RAM. */
  | { readonly op: "host"; readonly action: HostAction; readonly page: number }
  | {
      readonly op: "age";
      readonly how: "clear" | "clear-flush" | "test" | "reclaim";
      readonly page: number;
      readonly pages: number;
    }
  /** Creates, deletes (pages = 0), moves a slot or changes its flags; `backing` in pages of RAM. */
  | {
      readonly op: "slot";
      readonly id: number;
      readonly base: number;
      readonly pages: number;
      readonly backing: number;
      readonly flags: number;
    }
  | { readonly op: "dirty-log"; readonly id: number }
  /** KVM_CLEAR_DIRTY_LOG of `blocks` runs of 64 pages, as many bits as are set there. */
  | {
      readonly op: "clear-log";
      readonly id: number;
      readonly first: number;
      readonly blocks: number;
    }
  /** KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2. */
  | { readonly op: "manual-protect"; readonly flags: 0 | 1 | 3 }
  /** Limit on shadow pages. */
  | { readonly op: "limit"; readonly pages: number }
  | { readonly op: "shrink"; readonly pages: number }
  /** Frames of host memory; absent = all. */
  | { readonly op: "memory-limit"; readonly frames?: number }
  | { readonly op: "nx-huge-pages"; readonly on: boolean }
  | { readonly op: "recover-nx" }
  /** Every invariant, just now. */
  | { readonly op: "check" }
  /** All state is saved and restored. */
  | { readonly op: "restore" };

export type Step = BareStep & { readonly meanwhile?: Meanwhile };

/** Names of the steps, for counting which have been taken. */
export const stepName = (step: Step): string => {
  switch (step.op) {
    case "access":
      return `${step.emulated ? "emulated " : ""}${step.kind}`;
    case "host":
      return step.action;
    case "age":
      return `age ${step.how}`;
    case "flip":
      return `flip ${step.register}`;
    case "invpcid":
      return `invpcid ${step.type}`;
    default:
      return step.op;
  }
};
