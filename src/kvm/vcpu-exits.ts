import { EFER_INDEX } from "../x86";
import type { MmuContext } from "./mmu/context";
import type { VmCore } from "./vm-core";

/** What a VMX exit reason is called under SVM, and whether the MMU handles it. */
interface ExitRow {
  readonly svm: string;
  readonly mmu?: true;
}

/** Exit reasons by the names that the kvm_exit tracepoint prints (uapi asm/vmx.h, asm/svm.h). */
const EXITS = {
  EXCEPTION_NMI: { svm: "PF excp", mmu: true },
  CR_ACCESS: { svm: "write_cr", mmu: true },
  INVLPG: { svm: "invlpg", mmu: true },
  INVPCID: { svm: "invpcid", mmu: true },
  EPT_VIOLATION: { svm: "npf", mmu: true },
  EPT_MISCONFIG: { svm: "npf", mmu: true },
  PML_FULL: { svm: "pml_full", mmu: true },
  IO_INSTRUCTION: { svm: "io" },
  MSR_READ: { svm: "msr" },
  MSR_WRITE: { svm: "msr" },
  CPUID: { svm: "cpuid" },
  VMCALL: { svm: "vmmcall" },
  EXTERNAL_INTERRUPT: { svm: "interrupt" },
  HLT: { svm: "hlt" },
} as const satisfies Readonly<Record<string, ExitRow>>;
export type ExitReason = keyof typeof EXITS;

/** Under SVM each control register has a reason of its own; CR0 has one for the bits that matter. */
const SVM_CR_WRITES = ["cr0_sel_write", "", "", "write_cr3", "write_cr4"];

/** Announces and counts the VM exits of one vCPU. */
export class VcpuExits {
  /** Told of each exit, by the name its tracepoint prints. */
  onExit: ((name: string, mmu: boolean) => void) | undefined;

  constructor(
    private readonly vm: VmCore,
    private readonly mmu: MmuContext,
  ) {}

  announce(reason: ExitReason, info1: bigint, info2 = 0): void {
    const { mmu } = this;
    mmu.stats.exits++;
    const name = this.nameOf(reason, info1);
    const row: ExitRow = EXITS[reason];
    this.onExit?.(name, row.mmu === true);
    const { trace } = this.vm.state;
    if (trace.wants("kvm_exit"))
      trace.emit("kvm_exit", { vcpu: mmu.id, reason: name, rip: mmu.cpu.rip, info1, info2 });
  }

  /** A write of a control register that exits. */
  announceControlWrite(register: 0 | 3 | 4, value: bigint): void {
    this.announce("CR_ACCESS", BigInt(register));
    const { trace } = this.vm.state;
    if (trace.wants("kvm_cr")) trace.emit("kvm_cr", { write: true, cr: register, value });
  }

  /** WRMSR to EFER, which exits under every kind of paging. */
  announceEferExit(): void {
    this.announce("MSR_WRITE", BigInt(EFER_INDEX));
  }
  /** … and has been done. */
  announceEferWritten(value: bigint): void {
    const { trace } = this.vm.state;
    if (trace.wants("kvm_msr"))
      trace.emit("kvm_msr", { write: true, index: EFER_INDEX, value, exception: false });
  }

  private nameOf(reason: ExitReason, info1: bigint): string {
    if (this.vm.tdp?.vendor !== "svm") return reason;
    return reason === "CR_ACCESS" ? SVM_CR_WRITES[Number(info1)]! : EXITS[reason].svm;
  }
}
