import {
  type FaultOutcome,
  FLAG,
  type FrameMap,
  FramePort,
  type Gpa,
  type GuestFault,
  HardwareWalker,
  loadPdptes,
  type PagingFeatures,
  PDPTE_RELOAD,
  pagingMode,
  pdpteRegisters,
  pdpteTable,
  type Refill,
  S,
  topTable,
  walkRules,
} from "../x86";
import { type BoardHost, PcBoard } from "./pc-board";

const GENERAL_PROTECTION: GuestFault = { vector: 13, error: 0 };

/** A vCPU on bare memory: the hardware walks the guest's own tables (`mmu: none`). */
export class BareBoard extends PcBoard {
  private readonly walker: HardwareWalker<Gpa>;
  private readonly port: FramePort<Gpa>;
  private readonly pdptes = pdpteRegisters();

  constructor(
    vcpu: number,
    host: BoardHost,
    memory: WebAssembly.Memory,
    ram: FrameMap<Gpa>,
    private readonly features: PagingFeatures,
  ) {
    super(vcpu, host);
    this.port = new FramePort(memory, ram);
    const off = walkRules({ cr0: 0n, cr4: 0n, efer: 0n }, features);
    this.walker = new HardwareWalker<Gpa>(memory, ram, off, 0 as Gpa);
  }

  refill(va: bigint, access: number): Refill {
    return this.walker.refill(va, access, (this.core.state.u64(S.rflags) & FLAG.AC) !== 0n);
  }

  pageFault(va: bigint, error: number): FaultOutcome {
    return { kind: "inject", error, cr2: va };
  }

  /** The slow path of a device access translates as hardware does: nothing stands in between. */
  emulate(va: bigint, access: number): Refill {
    return this.refill(va, access);
  }
  emulatedStore(gpa: number, bytes: Uint8Array): void {
    for (let i = bytes.length - 1, value = 0n; i >= 0; i--) {
      value = (value << 8n) | BigInt(bytes[i] ?? 0);
      if (i === 0) this.deviceWrite(gpa, bytes.length, value);
    }
  }

  cr0Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.controlsChanged(((old ^ value) & PDPTE_RELOAD.cr0) !== 0n);
  }
  cr3Written(): GuestFault | undefined {
    return this.controlsChanged(true);
  }
  cr4Written(old: bigint, value: bigint): GuestFault | undefined {
    return this.controlsChanged(((old ^ value) & PDPTE_RELOAD.cr4) !== 0n);
  }
  eferWritten(): void {
    this.controlsChanged(false);
  }
  pkruWritten(): void {
    this.controlsChanged(false);
  }
  invlpg(): void {}
  invpcid(type: number, _pcid: number, va: bigint): void {
    // Without PCID-tagged entries types 1…3 all drop everything; only 3 may keep global pages.
    if (type === 0) this.core.flushTlbPage(va);
    else this.core.flushTlb(type === 3);
  }

  /** Also called after a restore. `reload`: PAE paging reads its four top entries again (SDM 3A 4.4.1). */
  controlsChanged(reload: boolean): GuestFault | undefined {
    const { state } = this.core;
    const mode = pagingMode(state);
    if (mode === "PAE") {
      const table = pdpteTable(state.cr3) as Gpa;
      if (reload) {
        if (!loadPdptes(this.port, table, this.features.physicalBits, this.pdptes))
          return GENERAL_PROTECTION;
        for (let i = 0; i < 8; i++) state.setU32(S.pdpte + 4 * i, this.pdptes[i] ?? 0);
      } else for (let i = 0; i < 8; i++) this.pdptes[i] = state.u32(S.pdpte + 4 * i);
      this.walker.root = this.pdptes;
    } else this.walker.root = topTable(mode, state.cr3) as Gpa;
    this.walker.rules = walkRules(state, this.features, Number(state.u64(S.pkru)));
    return undefined;
  }
}
