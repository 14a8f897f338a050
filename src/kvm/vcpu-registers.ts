import { CR0, CR4, EFER, type GuestFault, PDPTE_RELOAD, pagingMode } from "../x86";
import type { MmuContext } from "./mmu/context";
import { invalidateAddress, invlpg } from "./mmu/invlpg";
import { loadPdptrs } from "./mmu/pdptrs";
import { freePrevRootsOfPcid, pcidOf, switchPgd, unloadRoots } from "./mmu/roots";
import type { VcpuExits } from "./vcpu-exits";
import type { VmCore } from "./vm-core";

/** CR4 bits that are part of a role (KVM_MMU_CR4_ROLE_BITS). */
const CR4_ROLE_BITS = CR4.PSE | CR4.PAE | CR4.LA57 | CR4.SMEP | CR4.SMAP | CR4.PKE;
const GENERAL_PROTECTION: GuestFault = { vector: 13, error: 0 };

const CR0_ROLE_BITS = CR0.PG | CR0.WP;

/** What writes to control registers and TLB instructions of the guest do to its MMU (mmu.rst, "Guest control register write"). */
export class VcpuRegisters {
  constructor(
    private readonly vm: VmCore,
    private readonly mmu: MmuContext,
    private readonly exits: VcpuExits,
    private readonly enter: () => void,
  ) {}

  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    this.exits.announceControlWrite(0, value);
    const changed = old ^ value;
    const { state } = this.vm;
    if (changed & PDPTE_RELOAD.cr0 && !this.pdptrsLoaded()) return this.refused();
    // WP does not matter to a guest that does not page.
    if (changed === CR0.WP && !(value & CR0.PG)) return this.done();
    if (changed & CR0.PG && !(value & CR0.PG)) state.request(this.mmu, "tlbFlushGuest");
    if (changed & CR0_ROLE_BITS) this.resetContext();
    return this.done();
  }

  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined {
    this.exits.announceControlWrite(3, value);
    const { state } = this.vm;
    if (!this.pdptrsLoaded()) return this.refused();
    if (old !== value) switchPgd(state, this.mmu, value);
    if (!noFlush) this.flushPcid(pcidOf(value));
    return this.done();
  }

  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    this.exits.announceControlWrite(4, value);
    const { mmu } = this;
    const { state } = this.vm;
    const changed = old ^ value;
    if (changed & PDPTE_RELOAD.cr4 && !this.pdptrsLoaded()) return this.refused();
    if (changed & CR4_ROLE_BITS) this.resetContext();
    // A cached root could be picked later by a load that does not flush, with a PCID it never had.
    if (changed & value & CR4.PCIDE) unloadRoots(state, mmu);
    if (changed & CR4.PGE || changed & old & CR4.PCIDE) state.request(mmu, "tlbFlushGuest");
    else if (changed & CR4.PAE || changed & value & CR4.SMEP) state.request(mmu, "tlbFlushCurrent");
    return this.done();
  }

  eferWritten(old: bigint, value: bigint): void {
    this.exits.announceEferExit();
    if ((old ^ value) & (EFER.NX | EFER.LMA)) this.resetContext();
    this.exits.announceEferWritten(value);
    this.done();
  }

  controlsReplaced(): boolean {
    if (!this.pdptrsLoaded()) return false;
    this.resetContext();
    return true;
  }

  invlpg(va: bigint): void {
    this.exits.announce("INVLPG", va);
    invlpg(this.vm.state, this.mmu, va);
    this.done();
  }

  /** SDM 2 INVPCID: 0 one address, 1 one PCID, 2 everything, 3 everything but global pages. */
  invpcid(type: number, pcid: number, va: bigint): void {
    this.exits.announce("INVPCID", va, type);
    if (type === 0) this.invalidateInPcid(pcid, va);
    else if (type === 1) this.flushPcid(pcid);
    else this.vm.state.request(this.mmu, "tlbFlushGuest");
    this.done();
  }

  private invalidateInPcid(pcid: number, va: bigint): void {
    const { mmu } = this;
    const { state } = this.vm;
    if (this.activePcid() === pcid) {
      state.flushTlbPage(mmu, va, "invpcid");
      invalidateAddress(state, mmu, va, mmu.root);
    }
    for (const root of mmu.prevRoots)
      if (root.kind === "page" && pcidOf(root.pgd) === pcid)
        invalidateAddress(state, mmu, va, root);
    mmu.stats.invlpg++;
  }

  private flushPcid(pcid: number): void {
    const { mmu } = this;
    const { state } = this.vm;
    const tagged = (mmu.cpu.cr4 & CR4.PCIDE) !== 0n;
    if (!tagged || this.activePcid() === pcid) {
      state.request(mmu, "mmuSync");
      state.request(mmu, "tlbFlushCurrent");
    }
    if (tagged) freePrevRootsOfPcid(state, mmu, pcid);
  }

  private activePcid(): number {
    const { cr3, cr4 } = this.mmu.cpu;
    return cr4 & CR4.PCIDE ? pcidOf(cr3) : 0;
  }

  /** New roles, no roots (kvm_mmu_reset_context). */
  private resetContext(): void {
    const { mmu } = this;
    unloadRoots(this.vm.state, mmu);
    mmu.walkMode = this.vm.modeOf(mmu.cpu, mmu.guestMode !== undefined);
  }

  /** PAE paging reads its PDPTEs with this write; false when one of them has a reserved bit set. */
  private pdptrsLoaded(): boolean {
    const { mmu, vm } = this;
    if (pagingMode(mmu.cpu) !== "PAE") return true;
    return loadPdptrs(vm.state, mmu, vm.features.physicalBits);
  }

  /** Nothing has changed but the register, which its owner sets back. */
  private refused(): GuestFault {
    this.enter();
    return GENERAL_PROTECTION;
  }

  private done(): undefined {
    this.enter();
    return undefined;
  }
}
