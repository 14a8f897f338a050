import { type Backing, GUEST_HVA, HostMemory, HostProcess, hostMemoryBytes } from "../../src/host";
import {
  formatEvent,
  type MmuKnobs,
  MODERN,
  type PagingEngine,
  type Profile,
  type Vcpu,
  Vm,
} from "../../src/kvm";
import {
  ACCESS,
  CR0,
  CR4,
  EFER,
  gpa,
  hpa,
  hva,
  type PagingFeatures,
  type PagingMode,
  pfnOf,
  Trace,
  type TraceEvent,
} from "../../src/x86";
import { type Outcome, ScriptedCpu, ScriptedVcpu } from "./scripted-vcpu";

export interface GuestOptions {
  readonly features?: Partial<PagingFeatures>;
  /** Frames of RAM in slot 0. */
  readonly pages?: number;
  readonly mmuPages?: number;
  /** Frames of device memory, all of it taken. */
  readonly devicePages?: number;
  readonly hostPhysicalBits?: number;
  /** What lies behind slot 0: plain anonymous memory unless said. */
  readonly backing?: Backing;
  readonly profile?: Profile;
  readonly knobs?: Partial<MmuKnobs>;
  readonly paging?: PagingEngine;
  /** Bytes of each vCPU's dirty ring. */
  readonly dirtyRing?: number;
  /** With `paging` ept or npt: the TDP MMU, unless false. */
  readonly tdpMmu?: boolean;
  /** Called after every step with what the step was: the invariant checker. */
  readonly check?: ((guest: Guest, step: string) => void) | undefined;
}

export const FEATURES: PagingFeatures = {
  physicalBits: 46,
  gigabytePages: true,
  pse36: true,
  amd: false,
};

/** The common set-up of the golden traces: one slot of 16 MiB at gpa 0, and a vCPU that does what a script says. */
export class Guest {
  readonly trace = new Trace();
  readonly memory: WebAssembly.Memory;
  readonly host: HostMemory;
  readonly process: HostProcess;
  readonly vm: Vm;
  readonly first: ScriptedVcpu;
  readonly log: TraceEvent[] = [];
  private readonly check: ((guest: Guest, step: string) => void) | undefined;

  constructor(options: GuestOptions = {}) {
    const pages = options.pages ?? 0x1000;
    const device = options.devicePages ?? 0;
    const zones = { low: 16, guest: 2 * pages, mmu: options.mmuPages ?? 0x200, device };
    const size = hostMemoryBytes(zones) + 0x10000;
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(size / 0x10000) });
    this.host = new HostMemory(this.memory, 0x10000, zones);
    this.process = new HostProcess(this.host, this.trace);
    this.process.mmap(
      GUEST_HVA,
      pages * 4096,
      options.backing ?? { kind: "anonymous", writable: true },
    );
    this.vm = new Vm({
      memory: this.memory,
      host: this.host,
      process: this.process,
      trace: this.trace,
      features: { ...FEATURES, ...options.features },
      profile: options.profile ?? MODERN,
      tdpMmu: options.tdpMmu ?? true,
      hostPhysicalBits: options.hostPhysicalBits ?? 46,
      knobs: options.knobs ?? {},
      paging: options.paging ?? "shadow",
    });
    const refused = options.dirtyRing ? this.vm.enableDirtyRing(options.dirtyRing) : undefined;
    if (refused) throw new Error(refused.errno);
    this.setSlot(0, 0, pages, GUEST_HVA);
    this.first = this.addVcpu();
    this.check = options.check;
    this.trace.on("*", (event) => this.log.push(event));
  }

  addVcpu(): ScriptedVcpu {
    const cpu = new ScriptedCpu();
    return new ScriptedVcpu(this.memory, cpu, this.vm.addVcpu(cpu));
  }
  get cpu(): ScriptedCpu {
    return this.first.cpu;
  }
  get vcpu(): Vcpu {
    return this.first.vcpu;
  }

  /** KVM_SET_USER_MEMORY_REGION; what it did, or the errno. */
  setSlot(id: number, gfn: number, pages: number, at: number, flags = 0): string {
    const outcome = this.vm.setMemoryRegion({
      slot: id,
      flags,
      guestPhysAddr: gpa(gfn * 4096),
      memorySize: pages * 4096,
      userspaceAddr: hva(at),
    });
    this.stepped(`slot ${id}: ${pages} pages at gfn 0x${gfn.toString(16)}, flags ${flags}`);
    return outcome.kind === "done" ? outcome.change : outcome.errno;
  }

  /** Stores a guest entry without the guest or KVM noticing, as a loader would. */
  entry(at: number, value: number | bigint): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    this.vm.memory.write(gpa(at), bytes);
    return this;
  }
  /** The same of a 4-byte entry. */
  entry32(at: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.vm.memory.write(gpa(at), bytes);
    return this;
  }
  /** An entry of guest memory as it is now; -1 where there is none. */
  entryAt(at: number): bigint {
    const bytes = this.vm.memory.peek(gpa(at), 8);
    if (bytes.length < 8) return -1n;
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  }

  enter(): this {
    this.vcpu.enter();
    return this.stepped("entry");
  }
  read(cpl: number, va: number | bigint, size: 4 | 8 = 8): Outcome {
    return this.access("read", cpl, BigInt(va), 0, 0n, size);
  }
  write(cpl: number, va: number | bigint, value: number | bigint, size: 4 | 8 = 8): Outcome {
    return this.access("write", cpl, BigInt(va), ACCESS.write, BigInt(value), size);
  }
  fetch(cpl: number, va: number | bigint): Outcome {
    return this.access("fetch", cpl, BigInt(va), ACCESS.fetch, 0n);
  }
  private access(
    name: string,
    cpl: number,
    va: bigint,
    kind: number,
    value: bigint,
    size: 4 | 8 = 8,
  ): Outcome {
    const outcome = this.first.access(cpl, va, kind, value, size);
    this.stepped(`${name} ${va.toString(16)} at CPL ${cpl}`);
    return outcome;
  }

  /** Begins in a paging mode: registers as they are set before the first entry. */
  start(mode: PagingMode, cr3: number, more: { readonly cr4?: bigint } = {}): this {
    const { cpu, vcpu } = this;
    const long = mode === "4-level" || mode === "5-level";
    cpu.cr0 = mode === "none" ? 0n : CR0.PE | CR0.PG | CR0.WP;
    cpu.cr4 = more.cr4 ?? 0n;
    if (long || mode === "PAE") cpu.cr4 |= CR4.PAE;
    if (mode === "5-level") cpu.cr4 |= CR4.LA57;
    cpu.efer = long ? EFER.LME | EFER.LMA | EFER.NX : EFER.NX;
    cpu.cr3 = BigInt(cr3);
    vcpu.restored();
    if (mode === "PAE") this.first.movCr3(cpu.cr3, false);
    return this.enter();
  }
  /** Switches the paging mode, and CR3 with it; the registers must allow it. */
  mode(mode: PagingMode, cr3?: number): this {
    const fault = this.first.setMode(mode, cr3 === undefined ? undefined : BigInt(cr3));
    if (fault) throw new Error(`${mode} paging: fault ${fault.vector}`);
    return this.stepped(`switch to ${mode} paging`);
  }
  movCr0(value: bigint): this {
    this.first.movCr0(value);
    return this.stepped(`mov cr0, ${value.toString(16)}`);
  }
  movCr3(value: number | bigint, noFlush = false): this {
    this.first.movCr3(BigInt(value), noFlush);
    return this.stepped(`mov cr3, ${value.toString(16)}${noFlush ? " without a flush" : ""}`);
  }
  movCr4(value: bigint): this {
    this.first.movCr4(value);
    return this.stepped(`mov cr4, ${value.toString(16)}`);
  }
  setEfer(value: bigint): this {
    this.first.setEfer(value);
    return this.stepped(`efer = ${value.toString(16)}`);
  }
  invlpg(va: number | bigint): this {
    this.first.invlpg(BigInt(va));
    return this.stepped(`invlpg ${va.toString(16)}`);
  }
  invpcid(type: number, pcid: number, va: bigint): this {
    this.first.invpcid(type, pcid, va);
    return this.stepped(`invpcid ${type}`);
  }
  /** A store by an instruction that the hypervisor emulates for another reason. */
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

  /** The 8 bytes at a host address: an spte. */
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
  "kvm_tdp_mmu_spte_changed",
  "kvm_mmu_split_huge_page",
];
