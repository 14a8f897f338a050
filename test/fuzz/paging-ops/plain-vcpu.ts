import { CR0, CR4, EFER } from "../../../src/x86";
import type { PlainMemory } from "./plain-memory";
import {
  type Features,
  hasPdpteRegisters,
  modeOf,
  P,
  pdpteReserved,
  rootTable,
} from "./plain-walk";
import type { Mode } from "./setup";

/** A value of CR3 under a PCID, and until when it was loaded. */
interface OldRoot {
  readonly cr3: bigint;
  readonly pcid: number;
  readonly until: number;
}
/** The translations of one page were dropped. */
interface PageFlush {
  readonly va: bigint;
  readonly pcid: number | undefined;
  readonly at: number;
}

/** Bits of CR4 that flush all translations when they change; and those of one PCID. */
const FLUSH_ALL = CR4.PGE | CR4.PAE | CR4.PSE | CR4.LA57;

/**
 * Registers of one processor, and since when each of its translations can at the earliest have been
 * cached: what the manual makes every flush forget (SDM 3A 4.10.4.1).
 */
export class PlainVcpu {
  cr0 = CR0.PE | CR0.WP;
  cr3 = 0n;
  cr4 = 0n;
  efer = EFER.NX;
  pkru = 0;
  ac = false;
  pdptes: readonly bigint[] = [0n, 0n, 0n, 0n];
  private allFlushed = 1;
  private readonly pcidFlushed = new Map<number, number>();
  private pageFlushes: PageFlush[] = [];
  private oldRoots: OldRoot[] = [];

  constructor(
    private readonly memory: PlainMemory,
    private readonly features: Features,
  ) {}

  get mode(): Mode {
    return modeOf(this);
  }
  /** Translations carry a PCID. */
  get tagged(): boolean {
    return (this.cr4 & CR4.PCIDE) !== 0n;
  }
  get pcid(): number {
    return this.tagged ? Number(this.cr3 & 0xfffn) : 0;
  }

  /** Time since which a translation of the present PCID may have been cached. */
  get flushed(): number {
    return Math.max(this.allFlushed, this.pcidFlushed.get(this.pcid) ?? 0);
  }
  /** A page flush of an address for which `covers` holds came after `time`. */
  droppedSince(time: number, covers: (va: bigint) => boolean): boolean {
    return this.pageFlushes.some(
      ({ va, pcid, at }) => at > time && (pcid ?? this.pcid) === this.pcid && covers(va),
    );
  }
  /** Roots that translations of the present PCID may come from besides the present one. */
  staleRoots(): readonly OldRoot[] {
    const since = this.flushed;
    return this.oldRoots.filter((old) => old.pcid === this.pcid && old.until > since);
  }

  flushAll(): void {
    this.allFlushed = this.memory.now++;
    this.pcidFlushed.clear();
    this.pageFlushes = [];
    this.oldRoots = [];
  }
  flushPcid(pcid: number): void {
    this.pcidFlushed.set(pcid, this.memory.now++);
    this.oldRoots = this.oldRoots.filter((old) => old.pcid !== pcid);
    this.pageFlushes = this.pageFlushes.filter((page) => page.pcid !== pcid);
  }
  /** `pcid` undefined: of the present one. */
  flushPage(va: bigint, pcid = this.pcid): void {
    this.pageFlushes.push({ va, pcid, at: this.memory.now++ });
  }

  /** MOV to CR3: false when it faults (#GP), with nothing changed. */
  setCr3(value: bigint, noFlush: boolean): boolean {
    const loads = this.mode === "PAE" && hasPdpteRegisters(this.features);
    if (loads && !this.loadPdptes(value)) return false;
    const { tagged } = this;
    if (tagged) this.oldRoots.push({ cr3: this.cr3, pcid: this.pcid, until: this.memory.now++ });
    this.cr3 = value;
    if (!tagged || !noFlush) this.flushPcid(this.pcid);
    return true;
  }

  /** MOV to CR0, CR4 or WRMSR to EFER with a legal value: false when a PDPTE is bad (#GP). */
  set(register: "cr0" | "cr4" | "efer", value: bigint): boolean {
    const old = this[register];
    const before = this.mode;
    const changed = old ^ value;
    this[register] = value;
    if (register === "cr0") this.efer = withLma(this.efer, this.cr0);
    const reload =
      register === "cr0"
        ? changed & (CR0.PG | CR0.CD | CR0.NW)
        : register === "cr4"
          ? changed & (CR4.PAE | CR4.PGE | CR4.PSE | CR4.SMEP)
          : 0n;
    if (this.mode === "PAE" && reload && !this.loadPdptes(this.cr3)) {
      this[register] = old;
      if (register === "cr0") this.efer = withLma(this.efer, this.cr0);
      return false;
    }
    const switched = before !== this.mode;
    if (switched || (register === "cr4" && (changed & FLUSH_ALL || changed & old & CR4.PCIDE)))
      this.flushAll();
    else if (register === "cr4" && changed & value & CR4.SMEP) this.flushPcid(this.pcid);
    return true;
  }

  private loadPdptes(cr3: bigint): boolean {
    const table = rootTable("PAE", cr3);
    const loaded = [0, 1, 2, 3].map((i) => this.memory.read(table + 8 * i, 8) ?? 0n);
    const reserved = pdpteReserved(this.features);
    if (loaded.some((entry) => entry & P && entry & reserved)) return false;
    this.pdptes = loaded;
    return true;
  }
}

/** EFER.LMA follows LME and CR0.PG. */
export const withLma = (efer: bigint, cr0: bigint): bigint =>
  efer & EFER.LME && cr0 & CR0.PG ? efer | EFER.LMA : efer & ~EFER.LMA;
