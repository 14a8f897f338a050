import type { CachedTranslation, GuestCpu, Vcpu } from "../../src/kvm";
import { ACCESS, ALLOW, CR0, CR4, EFER, type Refill } from "../../src/x86";

/** Registers as a test sets them, and a TLB that keeps what it may. */
export class ScriptedCpu implements GuestCpu {
  cr0 = CR0.PE | CR0.PG | CR0.WP;
  cr3 = 0x1000n;
  cr4: bigint = CR4.PAE;
  efer: bigint = EFER.LME | EFER.LMA | EFER.NX;
  cpl = 0;
  ac = false;
  pkru = 0;
  rip = 0x100000n;
  delivering = false;
  /** Entries kept at most; 0 = no TLB at all. */
  tlbSize = Number.POSITIVE_INFINITY;
  readonly tlb = new Map<string, TlbEntry>();

  flushTlb(): void {
    this.tlb.clear();
  }
  flushTlbPage(va: bigint): void {
    for (const mode of ["u", "s", "a"]) this.tlb.delete(`${mode}${va >> 12n}`);
  }
  *tlbEntries(): IterableIterator<CachedTranslation> {
    for (const [key, { offset, allow }] of this.tlb)
      yield { va: BigInt(key.slice(1)) << 12n, offset, writable: (allow & ALLOW.write) !== 0 };
  }
  key(va: bigint): string {
    return `${this.cpl === 3 ? "u" : this.ac ? "a" : "s"}${va >> 12n}`;
  }
  keep(va: bigint, refill: Refill): void {
    if (this.tlbSize === 0) return;
    const key = this.key(va);
    this.tlb.delete(key);
    if (this.tlb.size >= this.tlbSize) this.tlb.delete(this.tlb.keys().next().value as string);
    this.tlb.set(key, { offset: refill.offset, allow: refill.allow });
  }
}

export interface TlbEntry {
  readonly offset: number;
  readonly allow: number;
}

/** What came of one access. */
export type Outcome =
  | { readonly kind: "ok"; readonly value: bigint; readonly emulated: boolean }
  | { readonly kind: "fault"; readonly error: number; readonly cr2: bigint }
  | { readonly kind: "device"; readonly gpa: number };

/** Attempts after which an access that is only ever retried counts as stuck. */
const STUCK = 20;

/** A vCPU that does what a script says: single accesses with their exits, and the system instructions. */
export class ScriptedVcpu {
  /** Give up after the first "retry": for tests that look in between. */
  oneTry = false;

  constructor(
    readonly memory: WebAssembly.Memory,
    readonly cpu: ScriptedCpu,
    readonly vcpu: Vcpu,
  ) {}

  movCr0(value: bigint): void {
    const old = this.cpu.cr0;
    this.cpu.cr0 = value;
    this.cpu.flushTlb();
    this.vcpu.cr0Written(old, value);
  }
  movCr3(value: bigint, noFlush: boolean): void {
    const old = this.cpu.cr3;
    this.cpu.cr3 = value;
    this.cpu.flushTlb();
    this.vcpu.cr3Written(old, value, noFlush);
  }
  movCr4(value: bigint): void {
    const old = this.cpu.cr4;
    this.cpu.cr4 = value;
    this.cpu.flushTlb();
    this.vcpu.cr4Written(old, value);
  }
  setEfer(value: bigint): void {
    const old = this.cpu.efer;
    this.cpu.efer = value;
    this.cpu.flushTlb();
    this.vcpu.eferWritten(old, value);
  }
  invlpg(va: bigint): void {
    this.cpu.flushTlbPage(va);
    this.vcpu.invlpg(va);
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.cpu.flushTlb();
    this.vcpu.invpcid(type, pcid, va);
  }

  /** One 8-byte access with its exits, as the processor makes it. */
  access(cpl: number, va: bigint, kind: number, value: bigint): Outcome {
    const { cpu, vcpu } = this;
    cpu.cpl = cpl;
    const access = kind | (cpl === 3 ? ACCESS.user : 0);
    const wanted =
      access & ACCESS.write ? ALLOW.write : access & ACCESS.fetch ? ALLOW.exec : ALLOW.read;
    for (let tries = 0; tries < STUCK; tries++) {
      const cached = cpu.tlb.get(cpu.key(va));
      if (cached && cached.allow & wanted)
        return this.finish(cached.offset, va, access, value, false);
      const refill = vcpu.refill(va, access);
      if (refill.kind === "ram") {
        cpu.keep(va, refill);
        return this.finish(refill.offset, va, access, value, false);
      }
      const outcome = vcpu.pageFault(va, refill.error);
      if (outcome.kind === "inject")
        return { kind: "fault", error: outcome.error, cr2: outcome.cr2 };
      if (outcome.kind === "emulate") return this.emulated(va, access, value);
      if (this.oneTry) return { kind: "device", gpa: -1 };
    }
    throw new Error(`access to ${va.toString(16)} is retried for ever`);
  }

  /** The access as part of an instruction that is being emulated. */
  emulated(va: bigint, access: number, value: bigint): Outcome {
    const where = this.vcpu.emulate(va, access);
    if (where.kind === "fault") return { kind: "fault", error: where.error, cr2: va };
    if (where.kind === "device") return { kind: "device", gpa: where.gpa };
    if (!(access & ACCESS.write)) return this.finish(where.offset, va, access, value, true);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.vcpu.emulatedStore(where.gpa, bytes);
    return { kind: "ok", value, emulated: true };
  }

  private finish(
    offset: number,
    va: bigint,
    access: number,
    value: bigint,
    emulated: boolean,
  ): Outcome {
    const view = new DataView(this.memory.buffer);
    const at = offset + Number(va & 0xfffn);
    if (access & ACCESS.write) view.setBigUint64(at, value, true);
    return { kind: "ok", value: view.getBigUint64(at, true), emulated };
  }
}
