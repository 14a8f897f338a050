import {
  type Board,
  type CpuidResult,
  type FaultOutcome,
  GPR,
  type GuestFault,
  type Refill,
  S,
  type Trace,
  type VcpuCore,
} from "../x86";
import type { LocalApic } from "./devices/local-apic";
import type { PcDevices } from "./pc-devices";

const MSR = { apicBase: 0x1b, tscDeadline: 0x6e0, x2apic: 0x800, x2apicEnd: 0x83f } as const;
/** The four legacy performance counters that every AMD processor has (APM 2 13.2.1); they never count. */
const isIdleCounter = (index: number): boolean => index >= 0xc0010000 && index <= 0xc0010007;

/** What a board asks of the machine it is part of. */
export interface BoardHost {
  readonly trace: Trace;
  readonly devices: PcDevices;
  /** Virtual time, exact at the instruction that asks. */
  now(): number;
  /** A listener has called `requestStop` and the run has not ended yet. */
  readonly stopRequested: boolean;
  /** The hypervisor cannot go on with the vCPU now: a sentence why. */
  runFailed(text: string): void;
  /** The vCPU has shut down, and the machine with it: a sentence why. */
  shutDown(vcpu: number, text: string): void;
  /** Invariants of the hypervisor that do not hold, a sentence each. */
  violated(violations: readonly string[]): void;
}

/** KVM_HC_VAPIC_POLL_IRQ does nothing; -KVM_EPERM and -KVM_ENOSYS are answers. */
const HYPERCALL = { pollIrq: 1n, notPermitted: -1n, unknown: -1000n } as const;

/** CPUID leaves 40000000h…: "KVMKVMKVM", and no paravirtual feature (KVM documentation, cpuid.rst). */
const HYPERVISOR_LEAVES: Readonly<Record<number, CpuidResult>> = {
  1073741824: [0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d],
};

/**
 * The half of a board that is the same with and without a hypervisor: ports, device memory, the
 * local APIC's registers, time, and the announcements before an event.
 */
export abstract class PcBoard implements Board {
  /** Set once the core exists, which needs its board first. */
  core!: VcpuCore;
  protected readonly apic: LocalApic;

  constructor(
    readonly vcpu: number,
    protected readonly host: BoardHost,
  ) {
    const apic = host.devices.interrupts.apics[vcpu];
    if (!apic) throw new Error(`vcpu ${vcpu} has no local APIC`);
    this.apic = apic;
  }

  abstract refill(va: bigint, access: number): Refill;
  abstract pageFault(va: bigint, error: number): FaultOutcome;
  abstract emulate(va: bigint, access: number): Refill;
  abstract emulatedStore(gpa: number, bytes: Uint8Array): void;
  abstract cr0Written(old: bigint, value: bigint): GuestFault | undefined;
  abstract cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined;
  abstract cr4Written(old: bigint, value: bigint): GuestFault | undefined;
  abstract eferWritten(old: bigint, value: bigint): void;
  abstract pkruWritten(): void;
  abstract invlpg(va: bigint): void;
  abstract invpcid(type: number, pcid: number, va: bigint): void;

  hint(_name: "wbinvd" | "pause"): void {}

  deviceRead(gpa: number, size: number): bigint {
    return this.mmio.read(gpa, size);
  }
  deviceWrite(gpa: number, size: number, value: bigint): void {
    this.mmio.write(gpa, size, value);
  }
  private get mmio() {
    const bus = this.host.devices.mmio[this.vcpu];
    if (!bus) throw new Error(`vcpu ${this.vcpu} has no memory bus`);
    return bus;
  }

  portIn(port: number, size: number): number {
    return this.host.devices.ports.read(port, size);
  }
  portOut(port: number, size: number, value: number): void {
    this.host.devices.ports.write(port, size, value);
  }

  cpuid(leaf: number): CpuidResult | undefined {
    return HYPERVISOR_LEAVES[leaf];
  }

  readMsr(index: number): bigint | undefined {
    if (index === MSR.apicBase) return this.apic.base;
    if (index === MSR.tscDeadline) return this.apic.timer.tscDeadline;
    if (index >= MSR.x2apic && index <= MSR.x2apicEnd) return this.apic.readMsr(index);
    return isIdleCounter(index) ? 0n : undefined;
  }

  writeMsr(index: number, value: bigint): boolean {
    if (index === MSR.apicBase) return this.writeApicBase(value);
    if (index >= MSR.x2apic && index <= MSR.x2apicEnd) return this.apic.writeMsr(index, value);
    if (index !== MSR.tscDeadline) return isIdleCounter(index);
    this.apic.timer.tscDeadline = value;
    return true;
  }

  /** The core keeps a copy: CPUID shows the APIC only while it is enabled. */
  private writeApicBase(value: bigint): boolean {
    if (!this.apic.writeBase(value)) return false;
    this.core.state.setU64(S.apicBase, value);
    return true;
  }

  time(): bigint {
    return BigInt(this.host.now());
  }

  /** CR8 is bits 7:4 of the task priority. */
  taskPriority(value?: bigint): bigint {
    if (value !== undefined) this.apic.taskPriority = Number(value) << 4;
    return BigInt(this.apic.taskPriority >> 4);
  }

  /** VMCALL and VMMCALL as KVM answers them, number in RAX (KVM documentation, hypercalls.rst). */
  hypercall(): bigint | undefined {
    const { state } = this.core;
    if (state.cpl !== 0) return HYPERCALL.notPermitted;
    return state.gpr(GPR.rax) === HYPERCALL.pollIrq ? 0n : HYPERCALL.unknown;
  }

  acknowledgeInterrupt(): number {
    return this.host.devices.interrupts.acknowledge(this.vcpu);
  }

  beforeFault(vector: number, error: number | undefined, cr2: bigint | undefined): boolean {
    if (!this.host.trace.wants("exception")) return false;
    return this.announce("exception", { vector, error, cr2 });
  }
  beforeInvlpg(va: bigint): boolean {
    return this.announce("invlpg", { gva: va });
  }
  beforeControlWrite(
    register: "cr0" | "cr3" | "cr4" | "efer",
    old: bigint,
    value: bigint,
  ): boolean {
    if (register === "efer") return this.announce("efer_write", { old, value });
    return this.announce("cr_write", { cr: Number(register.slice(2)), old, value });
  }

  /** Announces what is about to happen; true when a listener wants to stop before it. */
  private announce(
    name: string,
    fields: Readonly<Record<string, number | bigint | string | undefined>>,
  ): boolean {
    if (!this.host.trace.wants(name)) return false;
    this.host.trace.emit(name, fields);
    return this.host.stopRequested;
  }
}
