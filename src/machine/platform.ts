import type { Vm } from "../kvm";
import type { Engine, Gpa, Hpa, Hva, VcpuCore } from "../x86";
import type { PageSource } from "./byte-space";
import type { HostControl } from "./host-control";
import type { Piece } from "./loaders/boot-image";
import type { PcBoard } from "./pc-board";
import type { Refusal } from "./refusal";
import type { SlotControl } from "./slot-control";

/** What lies under the vCPUs: bare memory, or a host with a hypervisor. */
export interface Platform {
  readonly vm: Vm | undefined;
  readonly host: HostControl | undefined;
  readonly slots: SlotControl | undefined;
  /** VM exits by reason. */
  readonly exits: Readonly<Record<string, number>>;
  /** The board a vCPU will be plugged into. */
  board(vcpu: number): PcBoard;
  /** Called once when the core exists: it needs its board first. */
  attach(vcpu: number, core: VcpuCore, engine: Engine): void;
  /** Puts an image into guest memory; a refusal when part of it has no memory. */
  load(pieces: readonly Piece[]): Refusal | undefined;
  readonly gpa: PageSource<Gpa>;
  readonly hpa: PageSource<Hpa>;
  readonly hva: PageSource<Hva>;
  /** The host drops the page behind a guest physical address and maps it anew. */
  dropPage(gpa: number): void;
  /**
   * INIT or a debugger gave the vCPU other control registers. False when PAE paging would load a PDPTE
   * with a reserved bit set with them: nothing but the registers has changed then.
   */
  controlsReplaced(vcpu: number): boolean;
  /** Before a vCPU goes on: a VM entry where there is a hypervisor. */
  beforeSlice(vcpu: number): void;
  /** The vCPU executed HLT. */
  halted(vcpu: number): void;
  save(): unknown;
  /** After the vCPUs' registers are back. */
  restore(saved: unknown): void;
}
