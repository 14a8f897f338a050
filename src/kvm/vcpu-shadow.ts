import {
  type FaultOutcome,
  type GuestFault,
  HardwareWalker,
  type Hpa,
  hpaOf,
  type Refill,
  type WalkRoot,
} from "../x86";
import type { MmuContext } from "./mmu/context";
import { handlePageFault } from "./mmu/fault";
import type { VcpuEntry } from "./vcpu-entry";
import type { VcpuExits } from "./vcpu-exits";
import type { VcpuPaging } from "./vcpu-paging";
import { VcpuRegisters } from "./vcpu-registers";
import type { VmCore } from "./vm-core";

/** A vCPU whose hardware walks shadow tables: each page fault is an exit, and so is each CR write. */
export class ShadowPaging implements VcpuPaging {
  readonly tables: HardwareWalker<Hpa>;
  private readonly registers: VcpuRegisters;

  constructor(
    private readonly vm: VmCore,
    private readonly mmu: MmuContext,
    private readonly exits: VcpuExits,
    private readonly entry: () => VcpuEntry,
  ) {
    const nowhere = hpaOf(vm.dummyRoot) as WalkRoot<Hpa>;
    this.tables = new HardwareWalker(vm.memory, vm.state.memory, mmu.mode.hardwareRules, nowhere);
    this.registers = new VcpuRegisters(vm, mmu, exits, () => entry().enter());
  }

  refill(va: bigint, access: number): Refill {
    return this.tables.refill(va, access, this.mmu.cpu.ac);
  }

  pageFault(va: bigint, error: number): FaultOutcome {
    const { mmu } = this;
    this.exits.announce("EXCEPTION_NMI", va, error);
    if (mmu.failure) return { kind: "retry" };
    const decision = handlePageFault(this.vm.state, mmu, va, error);
    const { injected } = mmu;
    mmu.injected = undefined;
    if (injected) {
      this.entry().enter();
      return { kind: "inject", ...injected };
    }
    if (decision === "emulate") {
      mmu.stats.insn_emulation++;
      return { kind: "emulate" };
    }
    this.entry().enter();
    return { kind: "retry" };
  }

  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.registers.cr0Written(old, value);
  }
  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined {
    return this.registers.cr3Written(old, value, noFlush);
  }
  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.registers.cr4Written(old, value);
  }
  eferWritten(old: bigint, value: bigint): void {
    this.registers.eferWritten(old, value);
  }
  /** KVM offers no protection keys under shadow paging. */
  pkruWritten(): void {}
  invlpg(va: bigint): void {
    this.registers.invlpg(va);
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.registers.invpcid(type, pcid, va);
  }
  controlsReplaced(): boolean {
    return this.registers.controlsReplaced();
  }
  beforeGuestWalk(): number {
    return 0;
  }
  replaced(): void {}
}
