import type { Era, MmuKnobs, PagingEngine, Vm } from "../kvm";
import type { CpuState, Gpa, Gva, Hpa, Hva, PagingFeatures, Trace, TraceEvent } from "../x86";
import type { HostControl } from "./host-control";
import type { MemoryBacking, SlotRequest } from "./slot-backing";
import type { SlotControl } from "./slot-control";

/** How guest memory is translated: by the processor alone, or by the KVM-style engine in one of its ways. */
export type MmuMode = "none" | PagingEngine;

/** What a machine is made of. All sizes in bytes. */
export interface MachineOptions {
  /** ELF64, multiboot 1 (ELF32, ELF64 or address fields), or a flat real-mode binary. */
  readonly image: Uint8Array;
  readonly imageName: string;
  readonly initrd?: { readonly name: string; readonly bytes: Uint8Array };
  /** Words after the image name on the guest's command line. */
  readonly append?: string;
  /** RAM, 1 MiB … 3 GiB, a multiple of 4 KiB. */
  readonly memory: number;
  readonly vcpus: number;
  readonly mmu: MmuMode;
  /** Whose MMU the hypervisor imitates. */
  readonly era: Era;
  /** Under `ept` and `npt`: the TDP MMU, or if false shadow pages. True where absent, in eras that have it. */
  readonly tdpMmu?: boolean;
  /** Module parameters of the hypervisor that are not as kernels have them by default. */
  readonly kvm?: Partial<MmuKnobs>;
  /** The processors, as `chooseCpu` reads them: "max,vendor=intel,phys-bits=46,-smap". */
  readonly cpu?: string;
  /** Slots in place of the default one at gpa 0. */
  readonly memslots?: readonly SlotRequest[];
  /** What the host makes the slots of that do not say: anonymous memory when absent. */
  readonly backing?: MemoryBacking;
  /** Bytes of memory that the host may use; beyond them it swaps. All it has when absent. */
  readonly hostMemory?: number;
  /** Run every invariant at each VM entry; a violation stops the machine. */
  readonly check?: boolean;
  /** Instructions a vCPU runs before the next has its turn. */
  readonly quantum?: number;
}

/** Why `run` came back. Every kind but the terminal four leaves a machine that can go on. */
export type StopReason =
  | { readonly kind: "limit" }
  | { readonly kind: "breakpoint"; readonly vcpu: number; readonly address: Gva }
  /** A listener called `requestStop`. For an intent (fault, invlpg) nothing is committed yet. */
  | {
      readonly kind: "event";
      readonly vcpu: number;
      readonly event: TraceEvent;
      readonly text: string;
    }
  /** An instruction Penumbra does not have: `text` is "not implemented: <disassembly> at <address>". */
  | { readonly kind: "unimplemented"; readonly vcpu: number; readonly text: string }
  /** KVM_RUN came back with an error, such as no memory from the host (SIGBUS): going on tries anew. */
  | { readonly kind: "run-error"; readonly vcpu: number; readonly text: string }
  /** `check` found something. */
  | { readonly kind: "invariant"; readonly vcpu: number; readonly violations: readonly string[] }
  /** The debug-exit port: process status is `(value << 1) | 1`. */
  | { readonly kind: "exit"; readonly value: number }
  | { readonly kind: "poweroff" }
  /** Triple fault, or a reset through a port: `text` says which. */
  | { readonly kind: "shutdown"; readonly vcpu: number; readonly text: string }
  /** All vCPUs halted and nothing will ever wake them. */
  | { readonly kind: "idle" };

/** What a debugger may ask of one vCPU. */
export interface VcpuView {
  readonly id: number;
  /** Live registers: reading and writing them is allowed whenever the machine is stopped. */
  readonly state: CpuState;
  readonly retired: number;
  readonly activity: "running" | "halted" | "waiting for SIPI" | "shut down";
  /** The exception or event stopped before, if it is still to be delivered. */
  readonly pending:
    | { readonly vector: number; readonly error?: number; readonly cr2?: bigint }
    | undefined;
}

/** Bytes of one address space, read and written without the guest noticing. */
export interface ByteSpace<A> {
  /** Bytes from `at` up to the first hole, at most `length`; empty when `at` itself is a hole. */
  read(at: A, length: number): Uint8Array;
  /** Number of bytes written: it stops at the first hole or page that may not be written. */
  write(at: A, bytes: Uint8Array): number;
  /** First readable address at or after `at`, for "unreadable bytes"; `undefined` if there is none. */
  nextMapped(at: A): A | undefined;
}

export interface Machine {
  readonly options: MachineOptions;
  readonly trace: Trace;
  readonly vcpus: readonly VcpuView[];
  /** The hypervisor; absent under `mmu: none`. */
  readonly vm: Vm | undefined;
  /** The host under the hypervisor; absent under `mmu: none`. */
  readonly host: HostControl | undefined;
  /** The hypervisor's memslots, to change; absent under `mmu: none`. */
  readonly slots: SlotControl | undefined;
  /** What the guest's processor has, as far as walks of its tables depend on it. */
  readonly pagingFeatures: PagingFeatures;
  /** Instructions retired so far by all vCPUs: the position in the run. */
  readonly tick: number;
  /** VM exits so far by reason; without a hypervisor empty. */
  readonly exits: Readonly<Record<string, number>>;
  /** The vCPU whose turn it is. */
  readonly current: number;
  /** The reason of the last stop if it was terminal (exit, poweroff, shutdown, idle). */
  readonly ended: StopReason | undefined;

  /** Runs up to `limit` more instructions by the one deterministic schedule. */
  run(limit: number): StopReason;
  /** Runs by the same schedule until this vCPU has retired one instruction or taken one event. */
  step(vcpu: number): StopReason;
  /** Called by trace listeners: ends the run before the next guest instruction. */
  requestStop(event: TraceEvent, text: string): void;
  /** Linear addresses at which `run` and `step` stop before the instruction; the one at the present rip is passed over. */
  setBreakpoints(addresses: ReadonlySet<bigint>): void;

  readonly gpa: ByteSpace<Gpa>;
  readonly hpa: ByteSpace<Hpa>;
  readonly hva: ByteSpace<Hva>;
  gva(vcpu: number, root?: Gpa): ByteSpace<Gva>;

  /** What the guest wrote to its serial port or debug console; called in order. */
  onOutput(listener: (bytes: Uint8Array) => void): () => void;
  /** Typed by the person; reaches the guest's serial port at the next instruction boundary. */
  input(bytes: Uint8Array): void;

  /** The whole state, as plain data; `restore` brings back exactly that machine. */
  save(): MachineState;
  restore(state: MachineState): void;
}

/** Opaque to all but the machine; may be kept and compared with `deepEqual`. */
export interface MachineState {
  readonly version: 1;
  readonly parts: Readonly<Record<string, unknown>>;
}
