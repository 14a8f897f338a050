import type { CachedTranslation, GuestCpu, NestedExit, Vcpu } from "../../src/kvm";
import {
  ACCESS,
  ALLOW,
  CR0,
  CR4,
  EFER,
  type GuestFault,
  type PagingMode,
  pdpteRegisters,
  type Refill,
} from "../../src/x86";

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
  /** As PAE paging loaded them last. */
  readonly pdptes = pdpteRegisters();
  /** Entries kept at most; 0 = no TLB at all. */
  tlbSize = Number.POSITIVE_INFINITY;
  readonly tlb = new Map<string, TlbEntry>();

  setPdptes(words: Uint32Array): void {
    this.pdptes.set(words);
  }
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
  | { readonly kind: "device"; readonly gpa: number }
  | { readonly kind: "user-exit"; readonly reason: string }
  | { readonly kind: "nested-exit"; readonly exit: NestedExit };

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

  /**
   * Chooses a paging mode the way a guest must: out of the old one, then CR4, EFER and CR3, then CR0.
   * `cr3` defaults to the present one. What the last step ends in.
   */
  setMode(mode: PagingMode, cr3 = this.cpu.cr3): GuestFault | undefined {
    const { cpu } = this;
    if (cpu.cr0 & CR0.PG) this.movCr0(cpu.cr0 & ~CR0.PG);
    const long = mode === "4-level" || mode === "5-level";
    this.setEfer(long ? cpu.efer | EFER.LME : cpu.efer & ~EFER.LME);
    const kept = cpu.cr4 & ~(CR4.PAE | CR4.LA57 | (long ? 0n : CR4.PCIDE));
    const pae = long || mode === "PAE" ? CR4.PAE : 0n;
    this.movCr4(kept | pae | (mode === "5-level" ? CR4.LA57 : 0n));
    this.movCr3(cr3, false);
    return mode === "none" ? undefined : this.movCr0(cpu.cr0 | CR0.PE | CR0.PG);
  }

  /** MOV to CR0, as far as paging is concerned: EFER.LMA follows. The fault it ends in, registers as before. */
  movCr0(value: bigint): GuestFault | undefined {
    const { cpu } = this;
    const { cr0: old, efer } = cpu;
    cpu.cr0 = value;
    cpu.efer = value & CR0.PG && efer & EFER.LME ? efer | EFER.LMA : efer & ~EFER.LMA;
    cpu.flushTlb();
    const fault = this.vcpu.cr0Written(old, value);
    if (fault) Object.assign(cpu, { cr0: old, efer });
    return fault;
  }
  movCr3(value: bigint, noFlush: boolean): GuestFault | undefined {
    const old = this.cpu.cr3;
    this.cpu.cr3 = value;
    this.cpu.flushTlb();
    const fault = this.vcpu.cr3Written(old, value, noFlush);
    if (fault) this.cpu.cr3 = old;
    return fault;
  }
  movCr4(value: bigint): GuestFault | undefined {
    const old = this.cpu.cr4;
    this.cpu.cr4 = value;
    this.cpu.flushTlb();
    const fault = this.vcpu.cr4Written(old, value);
    if (fault) this.cpu.cr4 = old;
    return fault;
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

  /** One access of 4 or 8 bytes with its exits, as the processor makes it. */
  access(cpl: number, va: bigint, kind: number, value: bigint, size: 4 | 8 = 8): Outcome {
    const { cpu, vcpu } = this;
    cpu.cpl = cpl;
    const access = kind | (cpl === 3 ? ACCESS.user : 0);
    const wanted =
      access & ACCESS.write ? ALLOW.write : access & ACCESS.fetch ? ALLOW.exec : ALLOW.read;
    for (let tries = 0; tries < STUCK; tries++) {
      // KVM_RUN once more: nothing runs while userspace has something to do.
      if (vcpu.userExit) vcpu.enter();
      if (vcpu.userExit) return { kind: "user-exit", reason: vcpu.userExit };
      const cached = cpu.tlb.get(cpu.key(va));
      if (cached && cached.allow & wanted)
        return this.finish(cached.offset, va, access, value, size, false);
      const refill = vcpu.refill(va, access);
      if (refill.kind === "ram") {
        cpu.keep(va, refill);
        return this.finish(refill.offset, va, access, value, size, false);
      }
      const outcome = vcpu.pageFault(va, refill.error);
      if (vcpu.nestedExit) return { kind: "nested-exit", exit: vcpu.nestedExit };
      if (outcome.kind === "inject")
        return { kind: "fault", error: outcome.error, cr2: outcome.cr2 };
      if (outcome.kind === "emulate") return this.emulated(va, access, value, size);
      if (this.oneTry) return { kind: "device", gpa: -1 };
    }
    throw new Error(`access to ${va.toString(16)} is retried for ever`);
  }

  /** The access as part of an instruction that is being emulated. */
  emulated(va: bigint, access: number, value: bigint, size: 4 | 8 = 8): Outcome {
    const where = this.vcpu.emulate(va, access);
    if (this.vcpu.nestedExit) return { kind: "nested-exit", exit: this.vcpu.nestedExit };
    if (where.kind === "fault") return { kind: "fault", error: where.error, cr2: va };
    if (where.kind === "device") return { kind: "device", gpa: where.gpa };
    if (!(access & ACCESS.write)) return this.finish(where.offset, va, access, value, size, true);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.vcpu.emulatedStore(where.gpa, bytes.subarray(0, size));
    return { kind: "ok", value, emulated: true };
  }

  private finish(
    offset: number,
    va: bigint,
    access: number,
    value: bigint,
    size: 4 | 8,
    emulated: boolean,
  ): Outcome {
    const view = new DataView(this.memory.buffer);
    const at = offset + Number(va & 0xfffn);
    if (access & ACCESS.write && size === 8) view.setBigUint64(at, value, true);
    else if (access & ACCESS.write) view.setUint32(at, Number(value & 0xffffffffn), true);
    const read = size === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
    return { kind: "ok", value: read, emulated };
  }
}
