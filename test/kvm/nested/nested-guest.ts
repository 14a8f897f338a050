import { CR0, CR4, EFER } from "../../../src/x86";
import { Guest, type GuestOptions } from "../guest";

/** Registers of a guest that does not page: its addresses are guest-physical. */
const FLAT = { cr0: CR0.PE, cr3: 0n, cr4: 0n, efer: 0n };

/** How an L1 in long mode reads the nested page tables it made. */
export const LONG_L1 = {
  hcr0: CR0.PE | CR0.PG | CR0.WP,
  hcr4: CR4.PAE,
  efer: EFER.LME | EFER.LMA | EFER.NX,
} as const;

/** Table of the nested page tables of golden trace G18. */
export const NCR3 = 0x20000;

export type Registers = Partial<Record<"cr0" | "cr3" | "cr4" | "efer", bigint>>;

export interface L2Entry extends Registers {
  readonly ncr3?: number;
  readonly hcr0?: bigint;
  readonly hcr4?: bigint;
  /** EFER of L1. */
  readonly l1Efer?: bigint;
  readonly flush?: boolean;
  /** Under EPT. */
  readonly eptp?: bigint;
  readonly pdptes?: Uint32Array;
}

/**
 * A guest hypervisor on a host with NPT, and its guest. Neither pages unless registers say so, so that
 * their accesses are to gpas and ngpas. What VMRUN and #VMEXIT do with registers a test does here.
 */
export class NestedGuest extends Guest {
  private l1 = { ...FLAT };

  constructor(options: GuestOptions = {}) {
    super({ paging: "npt", ...options });
    Object.assign(this.cpu, FLAT);
    this.vcpu.restored();
    this.enter();
  }

  /** VMRUN with nested paging. */
  enterL2(entry: L2Entry = {}): boolean {
    const { ncr3 = NCR3, hcr0 = LONG_L1.hcr0, hcr4 = LONG_L1.hcr4, flush = false } = entry;
    const hefer = entry.l1Efer ?? LONG_L1.efer;
    const { cr0, cr3, cr4, efer } = this.cpu;
    this.l1 = { cr0, cr3, cr4, efer };
    this.load(entry);
    const npt = { ncr3: BigInt(ncr3), hcr0, hcr4, efer: hefer };
    const nestedPaging = entry.eptp === undefined ? npt : { eptp: entry.eptp };
    const pdptes = entry.pdptes ? { pdptes: entry.pdptes } : {};
    const entered = this.vcpu.enterGuestMode({ nestedPaging, flush, ...pdptes });
    this.stepped("entry of L2");
    return entered;
  }

  /** #VMEXIT. */
  leaveL2(): this {
    Object.assign(this.cpu, this.l1);
    this.vcpu.leaveGuestMode();
    return this.stepped("exit to L1");
  }

  private load({ cr0, cr3, cr4, efer }: Registers): void {
    const l2 = {
      cr0: cr0 ?? FLAT.cr0,
      cr3: cr3 ?? FLAT.cr3,
      cr4: cr4 ?? FLAT.cr4,
      efer: efer ?? FLAT.efer,
    };
    Object.assign(this.cpu, l2);
  }
}

/** L1 of golden trace G18: ngpa 0x5000 → gpa 0x9000 through tables at 0x20000 … 0x23000, which it has written itself. */
export function nestedGuest(options: GuestOptions = {}): NestedGuest {
  const g = new NestedGuest(options);
  g.write(0, 0x20000, 0x21007);
  g.write(0, 0x21000, 0x22007);
  g.write(0, 0x22000, 0x23007);
  g.write(0, 0x23028, 0x9007);
  g.log.length = 0;
  return g;
}
