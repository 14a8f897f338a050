import type { Vcpu } from "../kvm";
import {
  type CpuidAnswer,
  type CpuState,
  CR0,
  type FaultOutcome,
  type FieldValue,
  FLAG,
  type GuestFault,
  type Insn,
  type Refill,
  S,
  SEG,
} from "../x86";
import { type BoardHost, PcBoard } from "./pc-board";

/** Why a vCPU left the guest, by the name its tracepoint prints, and how often. */
export type ExitCounts = Record<string, number>;

/**
 * A vCPU under the hypervisor (`mmu: shadow`, `ept`, `npt`). Memory and control registers are KVM's affair; ports,
 * MSRs and device memory exit to the devices, and the guest is entered again after each.
 */
export class KvmBoard extends PcBoard {
  /** Set once the core exists, which needs its board first. */
  kvm!: Vcpu;
  /** The MMU has worked since the last entry. */
  private touched = true;

  constructor(
    vcpu: number,
    host: BoardHost,
    private readonly exits: ExitCounts,
  ) {
    super(vcpu, host);
  }

  connect(kvm: Vcpu): void {
    this.kvm = kvm;
    kvm.exits.onExit = (name, mmu) => {
      this.exits[name] = (this.exits[name] ?? 0) + 1;
      if (mmu) this.touched = true;
    };
  }

  refill(va: bigint, access: number): Refill {
    return this.kvm.refill(va, access);
  }
  pageFault(va: bigint, error: number): FaultOutcome {
    const outcome = this.kvm.pageFault(va, error);
    // Whoever went on would only come here again.
    if (this.kvm.userExit) return { kind: "stop" };
    const failure = this.kvm.takeFailure();
    if (!failure) return outcome;
    this.host.runFailed(failure);
    return { kind: "stop" };
  }
  emulate(va: bigint, access: number): Refill {
    return this.kvm.emulate(va, access);
  }
  emulatedStore(gpa: number, bytes: Uint8Array): void {
    this.touched = true;
    this.kvm.emulatedStore(gpa, bytes);
  }

  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.kvm.cr0Written(old, value);
  }
  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined {
    return this.kvm.cr3Written(old, value, noFlush);
  }
  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.kvm.cr4Written(old, value);
  }
  eferWritten(old: bigint, value: bigint): void {
    this.touched = true;
    this.kvm.eferWritten(old, value);
  }
  /** No exit: the processor applies it by itself. */
  pkruWritten(): void {
    this.kvm.pkruWritten();
  }
  invlpg(va: bigint): void {
    this.kvm.invlpg(va);
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.kvm.invpcid(type, pcid, va);
  }

  override portIn(port: number, size: number): number {
    this.kvm.exited("IO_INSTRUCTION", port);
    const val = super.portIn(port, size);
    this.announceAccess("kvm_pio", { write: false, port, size, count: 1, val });
    this.kvm.enter();
    return val;
  }
  override portOut(port: number, size: number, val: number): void {
    this.kvm.exited("IO_INSTRUCTION", port);
    this.announceAccess("kvm_pio", { write: true, port, size, count: 1, val });
    super.portOut(port, size, val);
    this.kvm.enter();
  }

  override readMsr(index: number): bigint | undefined {
    this.kvm.exited("MSR_READ", index);
    const value = super.readMsr(index);
    const exception = value === undefined;
    this.announceAccess("kvm_msr", { write: false, index, value: value ?? 0n, exception });
    this.kvm.enter();
    return value;
  }
  override writeMsr(index: number, value: bigint): boolean {
    this.kvm.exited("MSR_WRITE", index);
    const done = super.writeMsr(index, value);
    this.announceAccess("kvm_msr", { write: true, index, value, exception: !done });
    this.kvm.enter();
    return done;
  }

  /** The exit was announced by the fault that led to the emulation. */
  override deviceRead(gpa: number, len: number): bigint {
    const val = super.deviceRead(gpa, len);
    this.announceAccess("kvm_mmio", { kind: "read", len, gpa, val });
    return val;
  }
  override deviceWrite(gpa: number, len: number, val: bigint): void {
    this.announceAccess("kvm_mmio", { kind: "write", len, gpa, val });
    super.deviceWrite(gpa, len, val);
  }

  cpuidExecuted(leaf: number, subleaf: number, answer: CpuidAnswer): void {
    this.kvm.exited("CPUID", leaf);
    const [rax, rbx, rcx, rdx] = answer.result;
    const { found, usedMaxBasic } = answer;
    const registers = { rax, rbx, rcx, rdx, found, used_max_basic: usedMaxBasic };
    this.announceAccess("kvm_cpuid", { function: leaf, index: subleaf, ...registers });
    this.kvm.enter();
  }

  ownMsrAccessed(write: boolean, index: number, value: bigint, exception: boolean): void {
    if (!this.kvm.exitsForMsr(write, index)) return;
    this.kvm.exited(write ? "MSR_WRITE" : "MSR_READ", index);
    this.announceAccess("kvm_msr", { write, index, value, exception });
    this.kvm.enter();
  }

  emulating(insn: Insn): void {
    if (!this.host.trace.wants("kvm_emulate_insn")) return;
    const { state } = this.core;
    const csbase = Number(BigInt.asUintN(32, state.segment(SEG.cs).base));
    const mode = emulationMode(state, insn);
    const bytes = [...insn.bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    this.host.trace.emit("kvm_emulate_insn", { csbase, rip: insn.ip, insn: bytes, mode });
  }

  override hypercall(): bigint | undefined {
    this.kvm.exited("VMCALL", 0);
    const result = super.hypercall();
    this.kvm.enter();
    return result;
  }

  override acknowledgeInterrupt(): number {
    this.kvm.exited("EXTERNAL_INTERRUPT", 0);
    const irq = super.acknowledgeInterrupt();
    if (irq >= 0) this.announceAccess("kvm_inj_virq", { irq });
    this.kvm.enter();
    return irq;
  }

  /** HLT, seen by the scheduler. */
  halted(): void {
    this.kvm.exited("HLT", 0);
  }

  /** Whether the MMU has worked since this was last asked. */
  takeTouched(): boolean {
    const { touched } = this;
    this.touched = false;
    return touched;
  }

  private announceAccess(name: string, fields: Readonly<Record<string, FieldValue>>): void {
    if (this.host.trace.wants(name)) this.host.trace.emit(name, fields);
  }
}

/** The names of KVM's kvm_emulate_insn event. */
function emulationMode(state: CpuState, { codeBits }: Insn): string {
  if (!(state.cr0 & CR0.PE)) return "real";
  return state.u64(S.rflags) & FLAG.VM ? "vm16" : `prot${codeBits}`;
}
