import { GUEST_HVA, HostMemory, HostProcess, hostMemoryBytes } from "../../src/host";
import { type CachedTranslation, formatEvent, type GuestCpu, type Vcpu, Vm } from "../../src/kvm";
import {
  ACCESS,
  ALLOW,
  CR0,
  CR4,
  EFER,
  gpa,
  hpa,
  hva,
  type PagingFeatures,
  pfnOf,
  type Refill,
  Trace,
  type TraceEvent,
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

export interface GuestOptions {
  readonly features?: Partial<PagingFeatures>;
  /** Frames of RAM in slot 0. */
  readonly pages?: number;
  readonly mmuPages?: number;
  /** Called after every step with what the step was: the invariant checker. */
  readonly check?: ((guest: Guest, step: string) => void) | undefined;
}

export const FEATURES: PagingFeatures = {
  physicalBits: 46,
  gigabytePages: true,
  pse36: true,
  amd: false,
};

/** Attempts after which an access that is only ever retried counts as stuck. */
const STUCK = 20;

/** The common set-up of the golden traces: one slot of 16 MiB at gpa 0, and vCPUs that do what a script says. */
export class Guest {
  readonly trace = new Trace();
  readonly memory: WebAssembly.Memory;
  readonly host: HostMemory;
  readonly process: HostProcess;
  readonly vm: Vm;
  readonly cpu = new ScriptedCpu();
  readonly vcpu: Vcpu;
  readonly others: { readonly cpu: ScriptedCpu; readonly vcpu: Vcpu }[] = [];
  readonly log: TraceEvent[] = [];
  private readonly check: ((guest: Guest, step: string) => void) | undefined;

  constructor(options: GuestOptions = {}) {
    const pages = options.pages ?? 0x1000;
    const zones = { low: 16, guest: 2 * pages, mmu: options.mmuPages ?? 0x200 };
    const size = hostMemoryBytes(zones) + 0x10000;
    this.memory = new WebAssembly.Memory({ initial: size / 0x10000 + 1 });
    this.host = new HostMemory(this.memory, 0x10000, zones);
    this.process = new HostProcess(this.host, this.trace);
    this.process.mmap(GUEST_HVA, pages * 4096, { kind: "anonymous", writable: true });
    this.vm = new Vm({
      memory: this.memory,
      host: this.host,
      process: this.process,
      trace: this.trace,
      features: { ...FEATURES, ...options.features },
    });
    this.setSlot(0, 0, pages, GUEST_HVA);
    this.vcpu = this.vm.addVcpu(this.cpu);
    this.check = options.check;
    this.trace.on("*", (event) => this.log.push(event));
  }

  addVcpu(): { readonly cpu: ScriptedCpu; readonly vcpu: Vcpu } {
    const cpu = new ScriptedCpu();
    const vcpu = this.vm.addVcpu(cpu);
    this.others.push({ cpu, vcpu });
    return { cpu, vcpu };
  }

  setSlot(id: number, gfn: number, pages: number, at: number, flags = 0): string {
    const outcome = this.vm.setMemoryRegion({
      slot: id,
      flags,
      guestPhysAddr: gpa(gfn * 4096),
      memorySize: pages * 4096,
      userspaceAddr: hva(at),
    });
    return outcome.kind === "done" ? outcome.change : outcome.errno;
  }

  /** Stores a guest entry without the guest or KVM noticing, as a loader would. */
  entry(at: number, value: number | bigint): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    this.vm.memory.write(gpa(at), bytes);
    return this;
  }
  /** An entry of guest memory as it is now. */
  entryAt(at: number): bigint {
    const bytes = this.vm.memory.peek(gpa(at), 8);
    return bytes.length < 8
      ? -1n
      : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  }

  enter(): this {
    this.vcpu.enter();
    return this.stepped("entry");
  }

  read(cpl: number, va: number | bigint): Outcome {
    return this.access(cpl, BigInt(va), 0, 0n);
  }
  write(cpl: number, va: number | bigint, value: number | bigint): Outcome {
    return this.access(cpl, BigInt(va), ACCESS.write, BigInt(value));
  }
  fetch(cpl: number, va: number | bigint): Outcome {
    return this.access(cpl, BigInt(va), ACCESS.fetch, 0n);
  }

  movCr0(value: bigint): this {
    const old = this.cpu.cr0;
    this.cpu.cr0 = value;
    this.cpu.flushTlb();
    this.vcpu.cr0Written(old, value);
    return this.stepped(`mov cr0, ${value.toString(16)}`);
  }
  movCr3(value: number | bigint, noFlush = false): this {
    const old = this.cpu.cr3;
    this.cpu.cr3 = BigInt(value);
    this.cpu.flushTlb();
    this.vcpu.cr3Written(old, this.cpu.cr3, noFlush);
    return this.stepped(`mov cr3, ${value.toString(16)}`);
  }
  movCr4(value: bigint): this {
    const old = this.cpu.cr4;
    this.cpu.cr4 = value;
    this.cpu.flushTlb();
    this.vcpu.cr4Written(old, value);
    return this.stepped(`mov cr4, ${value.toString(16)}`);
  }
  setEfer(value: bigint): this {
    const old = this.cpu.efer;
    this.cpu.efer = value;
    this.cpu.flushTlb();
    this.vcpu.eferWritten(old, value);
    return this.stepped(`efer = ${value.toString(16)}`);
  }
  invlpg(va: number | bigint): this {
    this.cpu.flushTlbPage(BigInt(va));
    this.vcpu.invlpg(BigInt(va));
    return this.stepped(`invlpg ${va.toString(16)}`);
  }
  invpcid(type: number, pcid: number, va: bigint): this {
    this.cpu.flushTlb();
    this.vcpu.invpcid(type, pcid, va);
    return this.stepped(`invpcid ${type}`);
  }

  /** One 8-byte access with its exits, as the processor makes it. */
  access(cpl: number, va: bigint, kind: number, value: bigint): Outcome {
    const { cpu } = this;
    cpu.cpl = cpl;
    const outcome = this.attempt(va, kind | (cpl === 3 ? ACCESS.user : 0), value);
    this.stepped(`${kind ? "store/fetch" : "read"} ${va.toString(16)} at CPL ${cpl}`);
    return outcome;
  }

  private attempt(va: bigint, access: number, value: bigint): Outcome {
    const { cpu, vcpu } = this;
    for (let tries = 0; tries < STUCK; tries++) {
      const wanted =
        access & ACCESS.write ? ALLOW.write : access & ACCESS.fetch ? ALLOW.exec : ALLOW.read;
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
      if (outcome.kind === "emulate") return this.emulate(va, access, value);
      if (this.oneTry) return { kind: "device", gpa: -1 };
    }
    throw new Error(`access to ${va.toString(16)} is retried for ever`);
  }
  /** Give up after the first "retry": for tests that look in between. */
  oneTry = false;

  private emulate(va: bigint, access: number, value: bigint): Outcome {
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

  /** An 8-byte store by an instruction that the hypervisor emulates for another reason. */
  emulatedStore(at: number, value: bigint | number, bytes = 8): this {
    const data = new Uint8Array(8);
    new DataView(data.buffer).setBigUint64(0, BigInt(value), true);
    this.vcpu.emulatedStore(at, data.subarray(0, bytes));
    return this.stepped(`emulated store to gpa ${at.toString(16)}`);
  }

  stepped(step: string): this {
    this.check?.(this, step);
    return this;
  }

  /** Events since the last call, of the named kinds, as their tracepoints print them. */
  events(names: readonly string[] = KVMMMU): string[] {
    const lines = this.log
      .filter((event) => names.includes(event.name))
      .map((event) => `${event.name}: ${formatEvent(event)}`);
    this.log.length = 0;
    return lines;
  }

  /** The spte at this host address. */
  spte(at: number): bigint {
    const offset = this.host.offsetOf(pfnOf(hpa(at))) + (at % 4096);
    return new DataView(this.memory.buffer).getBigUint64(offset, true);
  }
}

/** The tracepoints the golden traces list. */
export const KVMMMU: readonly string[] = [
  "kvm_mmu_pagetable_walk",
  "kvm_mmu_paging_element",
  "kvm_mmu_set_accessed_bit",
  "kvm_mmu_set_dirty_bit",
  "kvm_mmu_walker_error",
  "kvm_mmu_get_page",
  "kvm_mmu_sync_page",
  "kvm_mmu_unsync_page",
  "kvm_mmu_prepare_zap_page",
  "kvm_mmu_set_spte",
  "kvm_mmu_spte_requested",
  "kvm_mmu_zap_all_fast",
  "mark_mmio_spte",
  "check_mmio_spte",
  "handle_mmio_page_fault",
  "kvm_inj_exception",
  "kvm_unmap_hva_range",
];
