import type { CachedTranslation, GuestCpu } from "../../../src/kvm";
import {
  ACCESS,
  ALLOW,
  CR0,
  EFER,
  type PdpteRegisters,
  pdpteRegisters,
  type Refill,
} from "../../../src/x86";

interface TlbEntry {
  readonly va: bigint;
  readonly offset: number;
  readonly allow: number;
  readonly level: number;
}

/** Registers that the steps set, and a TLB that keeps all it may. */
export class ScriptedCpu implements GuestCpu {
  cr0 = CR0.PE | CR0.WP;
  cr3 = 0n;
  cr4 = 0n;
  efer: bigint = EFER.NX;
  cpl = 0;
  ac = false;
  pkru = 0;
  readonly rip = 0x100000n;
  readonly delivering = false;
  readonly tlb = new Map<string, TlbEntry>();

  /** `tlbSize`: entries kept at most; 0 = no TLB at all. */
  constructor(private readonly tlbSize: number) {}

  readonly pdptes = pdpteRegisters();

  setPdptes(words: PdpteRegisters): void {
    this.pdptes.set(words);
  }
  flushTlb(): void {
    this.tlb.clear();
  }
  /** A large page may lie in the TLB in pieces: all of them go (SDM 3A 4.10.4.1). */
  flushTlbPage(va: bigint): void {
    for (const [key, entry] of this.tlb)
      if ((entry.va ^ va) >> pageShift(entry) === 0n) this.tlb.delete(key);
  }

  *tlbEntries(): IterableIterator<CachedTranslation> {
    for (const { va, offset, allow } of this.tlb.values())
      yield { va, offset, writable: (allow & ALLOW.write) !== 0 };
  }
  lookUp(va: bigint, access: number): TlbEntry | undefined {
    return this.tlb.get(this.key(va, access));
  }
  keep(va: bigint, access: number, { offset, allow, level }: Refill): void {
    if (this.tlbSize === 0) return;
    const key = this.key(va, access);
    this.tlb.delete(key);
    if (this.tlb.size >= this.tlbSize) this.tlb.delete(this.tlb.keys().next().value as string);
    this.tlb.set(key, { va: va & ~0xfffn, offset, allow, level });
  }
  /** Translations are kept apart by the rights they were looked up with. */
  private key(va: bigint, access: number): string {
    const who = access & ACCESS.user ? "u" : access & ACCESS.implicit ? "i" : this.ac ? "a" : "s";
    return `${who}${va >> 12n}`;
  }
}

/** The larger of the sizes that a level can have: 4 MiB pages are of level 2. */
const pageShift = ({ level }: TlbEntry): bigint => (level === 1 ? 12n : level === 2 ? 22n : 30n);
