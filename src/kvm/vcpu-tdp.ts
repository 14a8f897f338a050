import {
  accessErrorBits,
  CR0,
  CR4,
  EFER,
  EPT_QUALIFICATION,
  emptyRefill,
  type FaultOutcome,
  type Gpa,
  type GuestFault,
  gpa,
  hpaOf,
  NPF,
  PageModificationLog,
  PDPTE_RELOAD,
  PFEC,
  pagingMode,
  pdpteTable,
  type Refill,
  type SecondDimension,
  type SecondDimensionExit,
  TwoDimensionalWalker,
  topTable,
} from "../x86";
import type { MmuContext } from "./mmu/context";
import { drainPml } from "./mmu/dirty/pml";
import { handlePageFault } from "./mmu/fault";
import { loadPdptrs, readPdptr } from "./mmu/pdptrs";
import { unloadRoots } from "./mmu/roots";
import type { TdpHardware } from "./tdp-hardware";
import type { VcpuEntry } from "./vcpu-entry";
import type { ExitReason, VcpuExits } from "./vcpu-exits";
import type { VcpuPaging } from "./vcpu-paging";
import type { VmCore } from "./vm-core";

/** Register bits whose change is part of a role (KVM_MMU_CR0_ROLE_BITS, KVM_MMU_CR4_ROLE_BITS). */
const CR4_ROLE_BITS = CR4.PSE | CR4.PAE | CR4.LA57 | CR4.SMEP | CR4.SMAP | CR4.PKE;
/** Bits that the guest changes without an exit: CR0/CR4 guest masks of VMX, selective CR0 writes of SVM. */
const GUEST_OWNED = {
  vmx: {
    cr0: CR0.TS | CR0.WP,
    cr4:
      CR4.PVI | CR4.DE | CR4.PCE | CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.PGE | CR4.TSD | CR4.FSGSBASE,
  },
  svm: { cr0: CR0.TS | CR0.MP, cr4: 0n },
} as const;

const GENERAL_PROTECTION: GuestFault = { vector: 13, error: 0 };
const RETRY: FaultOutcome = { kind: "retry" };
const EMULATE: FaultOutcome = { kind: "emulate" };

/** Exits of the second dimension by KVM's names; an NPF is a violation under SVM. */
const REASONS: Readonly<Record<SecondDimensionExit["kind"], ExitReason>> = {
  "ept-violation": "EPT_VIOLATION",
  "ept-misconfiguration": "EPT_MISCONFIG",
  "pml-full": "PML_FULL",
  npf: "EPT_VIOLATION",
};

/**
 * A vCPU with EPT or NPT: the hardware walks the guest's own tables, so the guest's page faults, CR3
 * loads and INVLPGs are its own affair. Only what the second dimension refuses is an exit.
 */
export class TdpPaging implements VcpuPaging {
  readonly walker: TwoDimensionalWalker;
  /** The buffer in use while a slot logs; absent where the hardware has none. */
  readonly pml: PageModificationLog | undefined;
  /** What became of the exit in the last `refill`. */
  private pending: FaultOutcome | undefined;
  private readonly answer = emptyRefill();

  constructor(
    private readonly vm: VmCore,
    private readonly mmu: MmuContext,
    private readonly hardware: TdpHardware,
    private readonly exits: VcpuExits,
    private readonly entry: () => VcpuEntry,
  ) {
    const { guestRules, hardwareRules } = mmu.mode;
    const second = { rules: hardwareRules, root: hpaOf(vm.dummyRoot) };
    const { physicalBits } = vm.features;
    const { memory } = vm.state;
    this.walker = new TwoDimensionalWalker(
      vm.memory,
      memory,
      second,
      guestRules,
      gpa(0),
      physicalBits,
    );
    this.pml = hardware.pml ? new PageModificationLog() : undefined;
    this.mmu.pml = this.pml;
    this.followRegisters();
  }

  get tables(): SecondDimension {
    return this.walker.second;
  }

  /** The answer to an exit comes from `pageFault`, which is asked next. */
  refill(va: bigint, access: number): Refill {
    const { walker, mmu } = this;
    this.pending = undefined;
    walker.second.log = this.vm.state.logsWrites ? this.pml : undefined;
    const refill = walker.refill(va, access, mmu.cpu.ac);
    if (refill) return refill;
    this.pending = this.handleExit(walker.exit);
    return this.answer;
  }

  pageFault(va: bigint, error: number): FaultOutcome {
    const outcome = this.pending ?? { kind: "inject", error, cr2: va };
    this.pending = undefined;
    return outcome;
  }

  /** One exit of the second dimension, handled, and the guest entered again unless it is emulated. */
  private handleExit(exit: SecondDimensionExit): FaultOutcome {
    const { mmu, vm, hardware } = this;
    const { kind, gpa: at, qualification, errorCode } = exit;
    const isNpf = hardware.vendor === "svm";
    this.exits.announce(REASONS[kind], BigInt(isNpf ? errorCode : qualification), isNpf ? at : 0);
    drainPml(vm.state, mmu);
    if (mmu.failure) return RETRY;
    if (kind !== "pml-full") {
      const decision = handlePageFault(vm.state, mmu, BigInt(at), codeOf(exit));
      if (decision === "emulate") {
        mmu.stats.insn_emulation++;
        return EMULATE;
      }
    }
    if (mmu.nestedExit) return RETRY;
    this.entry().enter();
    return RETRY;
  }

  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    const changed = old ^ value;
    const exits = (changed & ~GUEST_OWNED[this.hardware.vendor].cr0) !== 0n;
    if (exits) this.exits.announceControlWrite(0, value);
    const reload = (changed & PDPTE_RELOAD.cr0) !== 0n;
    return this.written(exits, reload, (changed & CR0.PG) !== 0n);
  }

  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    const changed = old ^ value;
    const exits = (changed & ~GUEST_OWNED[this.hardware.vendor].cr4) !== 0n;
    if (exits) this.exits.announceControlWrite(4, value);
    const reload = (changed & PDPTE_RELOAD.cr4) !== 0n;
    return this.written(exits, reload, (changed & CR4_ROLE_BITS) !== 0n);
  }

  /** No exit: under EPT the processor loads the PDPTEs itself. */
  cr3Written(): GuestFault | undefined {
    return this.written(false, true, false);
  }

  eferWritten(old: bigint, value: bigint): void {
    this.exits.announceEferExit();
    this.written(false, false, ((old ^ value) & (EFER.NX | EFER.LMA)) !== 0n);
    this.exits.announceEferWritten(value);
    this.entry().enter();
  }

  pkruWritten(): void {
    const { mmu } = this;
    const guestRules = { ...mmu.walkMode.guestRules, pkru: mmu.cpu.pkru };
    mmu.walkMode = { ...mmu.walkMode, guestRules };
    this.walker.rules = guestRules;
  }

  /** The processor's own affair, done before this is called. */
  invlpg(): void {}
  /** Likewise, but the processor leaves its TLB to the board. */
  invpcid(type: number, _pcid: number, va: bigint): void {
    if (type === 0) this.mmu.cpu.flushTlbPage(va);
    else this.mmu.cpu.flushTlb();
  }

  /** SVM keeps no PDPTEs: they are read when they are used (svm_cache_reg). */
  beforeGuestWalk(va: bigint, access: number): number {
    const { mmu, vm, walker } = this;
    if (walker.pdptesAt === undefined || mmu.isNested) return 0;
    if (readPdptr(vm.state, mmu, va, vm.features.physicalBits)) return 0;
    const { fetchReported } = mmu.walkMode.guestRules;
    return PFEC.present | PFEC.reserved | accessErrorBits(access, fetchReported);
  }

  controlsReplaced(): boolean {
    const { mmu, vm } = this;
    // Those of a nested guest are behind L1's tables, and read when they are used.
    const loads = pagingMode(mmu.cpu) === "PAE" && !mmu.isNested;
    if (loads && !this.loadPdptrs()) return false;
    unloadRoots(vm.state, mmu);
    mmu.walkMode = vm.modeOf(mmu.cpu, mmu.guestMode !== undefined);
    this.followRegisters();
    return true;
  }

  replaced(): void {
    this.pending = undefined;
    this.followRegisters();
  }

  private written(exits: boolean, reload: boolean, roleChanged: boolean): GuestFault | undefined {
    if (reload && !this.pdptesLoaded(exits)) {
      if (exits) this.entry().enter();
      return GENERAL_PROTECTION;
    }
    const { mmu, vm } = this;
    if (roleChanged) unloadRoots(vm.state, mmu);
    mmu.walkMode = vm.modeOf(mmu.cpu, mmu.guestMode !== undefined);
    this.followRegisters();
    if (exits) this.entry().enter();
    return undefined;
  }

  /**
   * False for a reserved bit. KVM checks them as it emulates a register write; a write without an exit
   * makes the processor load them, but under SVM, which reads them from memory at each walk.
   */
  private pdptesLoaded(byHypervisor: boolean): boolean {
    const { mmu, hardware } = this;
    if (pagingMode(mmu.cpu) !== "PAE") return true;
    // Those of an L2 are behind L1's tables, which the hardware's own loads go through.
    if (byHypervisor && !mmu.isNested) return this.loadPdptrs();
    return hardware.vendor === "svm" || this.loadThroughEpt(gpa(pdpteTable(mmu.cpu.cr3)));
  }

  private loadPdptrs(): boolean {
    return loadPdptrs(this.vm.state, this.mmu, this.vm.features.physicalBits);
  }

  /** The loads of MOV CR, each refusal of the second dimension an exit. */
  private loadThroughEpt(table: Gpa): boolean {
    const { mmu, walker } = this;
    for (;;) {
      if (mmu.failure || mmu.nestedExit) return true;
      if (mmu.requests !== 0 || mmu.root.kind === "none") this.entry().enter();
      const outcome = walker.loadPdptes(table, mmu.pdptrs);
      if (outcome === undefined) {
        // Not memory: KVM emulates the instruction, with its own loads.
        if (this.handleExit(walker.exit) === EMULATE) return this.loadPdptrs();
        continue;
      }
      if (outcome === "loaded") mmu.cpu.setPdptes(mmu.pdptrs);
      return outcome === "loaded";
    }
  }

  /** Gives the hardware the guest's registers, as they are in the VMCS or VMCB. */
  private followRegisters(): void {
    const { walker, mmu, hardware } = this;
    const { cpu, walkMode } = mmu;
    const { format } = walkMode.guestRules;
    walker.rules = walkMode.guestRules;
    const inMemory = format.rootInRegisters && hardware.vendor === "svm";
    walker.pdptesAt = inMemory ? gpa(pdpteTable(cpu.cr3)) : undefined;
    walker.root = format.rootInRegisters ? mmu.pdptrs : gpa(topTable(format.mode, cpu.cr3));
  }
}

/** The error code that KVM makes of an exit (handle_ept_violation, handle_ept_misconfig). */
function codeOf({ kind, qualification: q, errorCode }: SecondDimensionExit): number {
  if (kind === "npf") return errorCode;
  if (kind === "ept-misconfiguration") return PFEC.reserved;
  const { read, write, fetch, readable, writable, executable, linearAddress, final } =
    EPT_QUALIFICATION;
  const code =
    (q & read ? PFEC.user : 0) |
    (q & write ? PFEC.write : 0) |
    (q & fetch ? PFEC.fetch : 0) |
    (q & (readable | writable | executable) ? PFEC.present : 0);
  if (!(q & linearAddress)) return code;
  return code + (q & final ? NPF.final : NPF.guestTable);
}
