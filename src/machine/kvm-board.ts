import type { Vcpu } from "../kvm";
import type { FaultOutcome, FieldValue, GuestFault, Refill } from "../x86";
import { type BoardHost, PcBoard } from "./pc-board";

/** Why a vCPU left the guest, by VMX name, and how often. */
export type ExitCounts = Record<string, number>;

/**
 * A vCPU under the hypervisor (`mmu: shadow`). Memory and control registers are KVM's affair; ports,
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

  refill(va: bigint, access: number): Refill {
    return this.kvm.refill(va, access);
  }
  pageFault(va: bigint, error: number): FaultOutcome {
    this.exitToMmu("EXCEPTION_NMI");
    const outcome = this.kvm.pageFault(va, error);
    if (this.kvm.failure) this.host.fail(this.kvm.failure);
    return outcome;
  }
  emulate(va: bigint, access: number): Refill {
    return this.kvm.emulate(va, access);
  }
  emulatedStore(gpa: number, bytes: Uint8Array): void {
    this.touched = true;
    this.kvm.emulatedStore(gpa, bytes);
  }

  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    this.exitToMmu("CR_ACCESS");
    return this.kvm.cr0Written(old, value);
  }
  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined {
    this.exitToMmu("CR_ACCESS");
    return this.kvm.cr3Written(old, value, noFlush);
  }
  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    this.exitToMmu("CR_ACCESS");
    return this.kvm.cr4Written(old, value);
  }
  eferWritten(old: bigint, value: bigint): void {
    this.touched = true;
    this.kvm.eferWritten(old, value);
  }
  /** No exit: the processor applies it by itself. Without two-dimensional paging there are no keys. */
  pkruWritten(): void {}
  invlpg(va: bigint): void {
    this.exitToMmu("INVLPG");
    this.kvm.invlpg(va);
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.exitToMmu("INVPCID");
    this.kvm.invpcid(type, pcid, va);
  }

  override portIn(port: number, size: number): number {
    this.exit("IO_INSTRUCTION", port);
    const val = super.portIn(port, size);
    this.announceAccess("kvm_pio", { write: false, port, size, count: 1, val });
    this.kvm.enter();
    return val;
  }
  override portOut(port: number, size: number, val: number): void {
    this.exit("IO_INSTRUCTION", port);
    this.announceAccess("kvm_pio", { write: true, port, size, count: 1, val });
    super.portOut(port, size, val);
    this.kvm.enter();
  }

  override readMsr(index: number): bigint | undefined {
    this.exit("MSR_READ", index);
    const value = super.readMsr(index);
    const exception = value === undefined;
    this.announceAccess("kvm_msr", { write: false, index, value: value ?? 0n, exception });
    this.kvm.enter();
    return value;
  }
  override writeMsr(index: number, value: bigint): boolean {
    this.exit("MSR_WRITE", index);
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

  override cpuid(leaf: number): readonly [number, number, number, number] {
    this.exit("CPUID", leaf);
    const result = super.cpuid(leaf);
    this.kvm.enter();
    return result;
  }

  override hypercall(): bigint | undefined {
    this.exit("VMCALL", 0);
    const result = super.hypercall();
    this.kvm.enter();
    return result;
  }

  override acknowledgeInterrupt(): number {
    this.exit("EXTERNAL_INTERRUPT", 0);
    const irq = super.acknowledgeInterrupt();
    if (irq >= 0) this.announceAccess("kvm_inj_virq", { irq });
    this.kvm.enter();
    return irq;
  }

  /** HLT, seen by the scheduler. */
  halted(): void {
    this.exit("HLT", 0);
  }

  /** Whether the MMU has worked since this was last asked. */
  takeTouched(): boolean {
    const { touched } = this;
    this.touched = false;
    return touched;
  }

  /** An exit that the MMU handles. */
  private exitToMmu(reason: string): void {
    this.touched = true;
    this.count(reason);
  }

  private count(reason: string): void {
    this.exits[reason] = (this.exits[reason] ?? 0) + 1;
  }

  private exit(reason: string, info1: number): void {
    this.count(reason);
    this.kvm.mmu.stats.exits++;
    const { trace } = this.host;
    if (!trace.wants("kvm_exit")) return;
    const { rip } = this.kvm.cpu;
    trace.emit("kvm_exit", { vcpu: this.vcpu, reason, rip, info1: BigInt(info1), info2: 0 });
  }

  private announceAccess(name: string, fields: Readonly<Record<string, FieldValue>>): void {
    if (this.host.trace.wants(name)) this.host.trace.emit(name, fields);
  }
}
