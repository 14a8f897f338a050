import type { UserExit } from "../../../src/kvm";
import { ACCESS, ALLOW, type FaultOutcome, type GuestFault, type Refill } from "../../../src/x86";
import { withLma } from "./plain-vcpu";
import type { ScriptedCpu } from "./scripted-cpu";
import { ShutDown } from "./shut-down";
import type { AccessStep } from "./steps";

/** What a processor asks when its TLB does not know: a hypervisor's vCPU, or a walker of guest tables. */
export interface Translator {
  /** Why the vCPU is in userspace. */
  readonly userExit?: UserExit | undefined;
  refill(va: bigint, access: number): Refill;
  pageFault(va: bigint, error: number): FaultOutcome;
  emulate(va: bigint, access: number): Refill;
  emulatedStore(gpa: number, bytes: Uint8Array): void;
  cr0Written(old: bigint, value: bigint): GuestFault | undefined;
  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined;
  cr4Written(old: bigint, value: bigint): GuestFault | undefined;
  eferWritten(old: bigint, value: bigint): void;
  pkruWritten(): void;
  invlpg(va: bigint): void;
  invpcid(type: number, pcid: number, va: bigint): void;
}

/** What came of one access. */
export type Outcome =
  | { readonly kind: "ok"; readonly value: bigint }
  | { readonly kind: "fault"; readonly error: number; readonly cr2: bigint }
  | { readonly kind: "device"; readonly gpa: number };

/** Attempts after which an access that is only ever retried counts as stuck. */
const STUCK = 20;

/** A processor that does what the steps say: accesses with their exits, and system instructions. */
export class Processor {
  constructor(
    private readonly bytes: DataView,
    readonly cpu: ScriptedCpu,
    readonly translator: Translator,
  ) {}

  /** MOV to CR0 or CR4, WRMSR to EFER. False when it faults: the register keeps its value. */
  write(register: "cr0" | "cr4" | "efer", value: bigint): boolean {
    const { cpu, translator } = this;
    const old = cpu[register];
    const { efer } = cpu;
    cpu[register] = value;
    if (register === "cr0") cpu.efer = withLma(efer, value);
    cpu.flushTlb();
    if (register === "efer") {
      translator.eferWritten(old, value);
      return true;
    }
    const fault =
      register === "cr0" ? translator.cr0Written(old, value) : translator.cr4Written(old, value);
    if (!fault) return true;
    cpu[register] = old;
    cpu.efer = efer;
    return false;
  }
  writeCr3(value: bigint, noFlush: boolean): boolean {
    const { cpu, translator } = this;
    const old = cpu.cr3;
    cpu.cr3 = value;
    cpu.flushTlb();
    if (!translator.cr3Written(old, value, noFlush)) return true;
    cpu.cr3 = old;
    return false;
  }
  writePkru(value: number): void {
    this.cpu.pkru = value;
    this.cpu.flushTlb();
    this.translator.pkruWritten();
  }
  invlpg(va: bigint): void {
    this.cpu.flushTlbPage(va);
    this.translator.invlpg(va);
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.cpu.flushTlb();
    this.translator.invpcid(type, pcid, va);
  }

  /**
   * Undefined when nothing came of it: a cached access without a translation, or one that was to be
   * tried again `tries` times; without that number an access that never ends is an error.
   */
  access(step: AccessStep, tries?: number): Outcome | undefined {
    const { cpu, translator } = this;
    const { va } = step;
    const access = accessBits(step);
    cpu.cpl = step.cpl;
    if (step.emulated) return this.emulated(step, access);
    const wanted =
      access & ACCESS.write ? ALLOW.write : access & ACCESS.fetch ? ALLOW.exec : ALLOW.read;
    for (let n = 0; n < (tries ?? STUCK); n++) {
      const cached = cpu.lookUp(va, access);
      if (cached && cached.allow & wanted) return this.finish(cached.offset, step);
      if (step.cached) return undefined;
      const refill = translator.refill(va, access);
      if (refill.kind === "device") return { kind: "device", gpa: refill.gpa };
      if (refill.kind === "ram") {
        cpu.keep(va, access, refill);
        return this.finish(refill.offset, step);
      }
      const outcome = translator.pageFault(va, refill.error);
      if (outcome.kind === "inject") {
        // What has faulted is not cached any more (SDM 3A 4.10.4.1).
        cpu.flushTlbPage(va);
        return { kind: "fault", error: outcome.error, cr2: outcome.cr2 };
      }
      if (outcome.kind === "emulate") return this.emulated(step, access);
    }
    if (translator.userExit === "SHUTDOWN") throw new ShutDown();
    if (tries !== undefined) return undefined;
    throw new Error(`the access to ${va.toString(16)} is tried again for ever`);
  }

  private emulated(step: AccessStep, access: number): Outcome {
    const where = this.translator.emulate(step.va, access);
    if (where.kind === "fault") return { kind: "fault", error: where.error, cr2: step.va };
    if (where.kind === "device") return { kind: "device", gpa: where.gpa };
    if (step.kind !== "write") return this.finish(where.offset, step);
    this.store(where.gpa, step.size ?? 8, step.value ?? 0n);
    return { kind: "ok", value: 0n };
  }
  store(gpa: number, size: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.translator.emulatedStore(gpa, bytes.subarray(0, size));
  }

  private finish(offset: number, step: AccessStep): Outcome {
    const at = offset + Number(step.va & 0xfffn);
    const { bytes } = this;
    const { size = 8, value = 0n } = step;
    if (step.kind !== "write") return { kind: "ok", value: readFrom(bytes, at, size) };
    if (size === 8) bytes.setBigUint64(at, value, true);
    else if (size === 4) bytes.setUint32(at, Number(value & 0xffffffffn), true);
    else if (size === 2) bytes.setUint16(at, Number(value & 0xffffn), true);
    else bytes.setUint8(at, Number(value & 0xffn));
    return { kind: "ok", value: 0n };
  }
}

function readFrom(bytes: DataView, at: number, size: number): bigint {
  if (size === 8) return bytes.getBigUint64(at, true);
  if (size === 4) return BigInt(bytes.getUint32(at, true));
  return BigInt(size === 2 ? bytes.getUint16(at, true) : bytes.getUint8(at));
}

function accessBits({ kind, cpl, implicit }: AccessStep): number {
  const user = cpl === 3 && !implicit ? ACCESS.user : 0;
  const what = kind === "write" ? ACCESS.write : kind === "fetch" ? ACCESS.fetch : 0;
  return what | user | (implicit ? ACCESS.implicit : 0);
}
