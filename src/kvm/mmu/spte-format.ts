import type { Era } from "../profile";
import { eptMemoryType } from "./memory-type";
import { isLeaf, LARGE, PFN_HI, PFN_HI_UNIT, pfnHi, pfnLo, WRITABLE } from "./spte";
import type { SpteBit } from "./spte-bits";
import { type SpteHardware, type SpteLayout, spteLayout } from "./spte-layout";

/** R and X of an spte, and the distance to where access tracking saves them: bits 54 and 56. */
const TRACKED = { rights: 0x5, shift: 22, rwx: 0x7 };

/** A/D kinds, bits 53:52: the hardware's bits are used; they are not; they are but for dirty tracking. */
export const AD_KIND = { mask: 0x300000, enabled: 0, disabled: 0x100000, wrprotOnly: 0x200000 };

const lowMask = (bits: readonly number[]): number =>
  bits.filter((bit) => bit < 32).reduce((mask, bit) => mask | (1 << bit), 0);
const highMask = (bits: readonly number[]): number =>
  lowMask(bits.map((bit) => bit - 32).filter((bit) => bit >= 0));

/**
 * The spte layout of one VM as masks over the two halves of an entry, with the questions that are
 * asked of an entry. One instance a VM; W, PS and the pfn lie alike in all formats (`spte.ts`).
 * Halves may come as signed or unsigned numbers.
 */
export class SpteFormat {
  readonly hardware: SpteHardware;
  readonly era: Era;
  readonly bits: readonly SpteBit[];
  /** Bits with a meaning in this format, the pfn aside. */
  readonly knownLo: number;
  readonly knownHi: number;
  readonly leafLo: number;
  readonly leafHi: number;
  readonly nonleafLo: number;
  readonly nonleafHi: number;
  /** Grants user access; for EPT reads. */
  readonly user: number;
  readonly exec: number;
  /** In the high half. */
  readonly nx: number;
  readonly accessed: number;
  readonly dirty: number;
  readonly hostWritableLo: number;
  readonly hostWritableHi: number;
  readonly mmuWritableLo: number;
  readonly mmuWritableHi: number;
  readonly ramType: number;
  readonly emptyLo: number;
  /** Unsigned: what a `Uint32Array` holds. */
  readonly emptyHi: number;
  /** mmio can be marked in an entry at all. */
  readonly marksMmio: boolean;
  /** MAXPHYADDR of the host: no entry that maps memory has a higher address bit. */
  readonly physicalBits: number;
  readonly setsDirty: boolean;
  private readonly shadowPresent: number;
  private readonly mmioMaskLo: number;
  private readonly mmioMaskHi: number;
  private readonly mmioValueLo: number;
  private readonly mmioValueHi: number;
  private readonly mmioAccessMask: number;
  private readonly mmioGfnHi: number;
  private readonly generationUnit: number;
  private readonly flushOnW: boolean;
  private readonly fastPathAny: boolean;
  private readonly volatileUntilAccessed: boolean;

  constructor(layout: SpteLayout) {
    const { mmio } = layout;
    this.hardware = layout.hardware;
    this.era = layout.era;
    this.bits = layout.bits;
    this.knownLo = lowMask(layout.bits.map((row) => row.bit));
    this.knownHi = highMask(layout.bits.map((row) => row.bit));
    this.leafLo = lowMask(layout.leaf);
    this.leafHi = highMask(layout.leaf);
    this.nonleafLo = lowMask(layout.nonleaf);
    this.nonleafHi = highMask(layout.nonleaf);
    this.user = lowMask(layout.user);
    this.exec = lowMask(layout.exec);
    this.nx = highMask(layout.nx);
    this.accessed = lowMask(layout.accessed);
    this.dirty = lowMask(layout.dirty);
    this.hostWritableLo = lowMask(layout.hostWritable);
    this.hostWritableHi = highMask(layout.hostWritable);
    this.mmuWritableLo = lowMask(layout.mmuWritable);
    this.mmuWritableHi = highMask(layout.mmuWritable);
    this.ramType = lowMask(layout.ramType);
    this.emptyLo = lowMask(layout.empty);
    this.emptyHi = highMask(layout.empty) >>> 0;
    this.marksMmio = mmio !== undefined;
    this.physicalBits = layout.physicalBits;
    this.setsDirty = layout.setsDirty;
    this.shadowPresent = lowMask(layout.shadowPresent);
    // Without a mark the value is one that the mask cannot give.
    this.mmioMaskLo = mmio ? lowMask(mmio.mask) : 0;
    this.mmioMaskHi = mmio ? highMask(mmio.mask) : 0;
    this.mmioValueLo = mmio ? lowMask(mmio.value) : 1;
    this.mmioValueHi = mmio ? highMask(mmio.value) : 0;
    this.mmioAccessMask = mmio?.keepsAccess ? 6 : 0;
    this.mmioGfnHi = PFN_HI & ~this.mmioValueHi;
    this.generationUnit = 2 ** (mmio?.generationBits ?? 0);
    this.flushOnW = layout.flushOn === "writable";
    this.fastPathAny = layout.fastPath === "any";
    this.volatileUntilAccessed = layout.volatileUntilAccessed;
  }

  isEmpty(lo: number, hi: number): boolean {
    return (lo | 0) === this.emptyLo && hi >>> 0 === this.emptyHi;
  }
  /** Maps a page or points to a shadow page. An mmio mark may have P set and is not shadow-present. */
  isPresent(lo: number, hi: number): boolean {
    return (lo & this.shadowPresent) !== 0 && !this.isMmio(lo, hi);
  }
  isMmio(lo: number, hi: number): boolean {
    return (
      (lo & this.mmioMaskLo) === this.mmioValueLo && (hi & this.mmioMaskHi) === this.mmioValueHi
    );
  }
  /** A present entry that points to a shadow page. */
  isTable(lo: number, hi: number, level: number): boolean {
    return this.isPresent(lo, hi) && !isLeaf(lo, level);
  }

  /** MMU-writable has a bit of its own. */
  get marksMmuWritable(): boolean {
    return (this.mmuWritableLo | this.mmuWritableHi) !== 0;
  }
  isHostWritable(lo: number, hi: number): boolean {
    return ((lo & this.hostWritableLo) | (hi & this.hostWritableHi)) !== 0;
  }
  isMmuWritable(lo: number, hi: number): boolean {
    return ((lo & this.mmuWritableLo) | (hi & this.mmuWritableHi)) !== 0;
  }
  isAccessed(lo: number): boolean {
    return (lo & this.accessed) !== 0;
  }
  /** The page may have been written through this leaf: the D bit says so, or where there is none W. */
  isDirty(lo: number, hi: number): boolean {
    const hasDirtyBit = this.dirty !== 0 && (hi & AD_KIND.mask) !== AD_KIND.disabled;
    return (lo & (hasDirtyBit ? this.dirty : WRITABLE)) !== 0;
  }
  isUser(lo: number): boolean {
    return (lo & this.user) === this.user;
  }
  isExecutable(lo: number, hi: number): boolean {
    return (lo & this.exec) === this.exec && (hi & this.nx) === 0;
  }
  /** A and D are the hardware's affair in this entry. */
  usesAdBits(hi: number): boolean {
    return this.accessed !== 0 && (hi & AD_KIND.mask) !== AD_KIND.disabled;
  }

  /** D tells of writes; else W must be taken away for that (spte_ad_need_write_protect). */
  logsDirty(hi: number): boolean {
    return this.dirty !== 0 && (hi & AD_KIND.mask) === AD_KIND.enabled;
  }

  /** Without A bits, use shows when R, W and X are taken away: the next access faults and gives them back. */
  isAccessTracked(lo: number, hi: number): boolean {
    return (hi & AD_KIND.mask) === AD_KIND.disabled && (lo & TRACKED.rwx) === 0;
  }
  /** Halves of a present leaf of kind `disabled` with its rights put aside; W comes back through MMU-writable. */
  trackedLo(lo: number): number {
    return lo & ~TRACKED.rwx;
  }
  trackedHi(lo: number, hi: number): number {
    return hi | ((lo & TRACKED.rights) << TRACKED.shift);
  }
  /** Halves of a tracked leaf with R and X back. */
  restoredLo(lo: number, hi: number): number {
    return lo | ((hi >>> TRACKED.shift) & TRACKED.rights);
  }
  restoredHi(hi: number): number {
    return hi & ~(TRACKED.rights << TRACKED.shift);
  }
  /** The page was used through this leaf since its mark of use was last cleared. */
  isYoung(lo: number, hi: number): boolean {
    return this.usesAdBits(hi) ? this.isAccessed(lo) : !this.isAccessTracked(lo, hi);
  }

  /**
   * May change without mmu_lock: the fast path may set W or give tracked access back, the hardware may
   * set A or D (a lost D is lost data). Such an entry is only ever exchanged, never plainly stored.
   */
  isVolatile(lo: number, hi: number): boolean {
    if (!this.isPresent(lo, hi)) return false;
    if (this.isMmuWritable(lo, hi)) {
      const fast = this.fastPathAny ? this.isHostWritable(lo, hi) : (lo & WRITABLE) === 0;
      if (fast) return true;
    }
    if (this.accessed === 0) return false;
    if (!this.usesAdBits(hi)) return true;
    if (this.volatileUntilAccessed && !this.isAccessed(lo)) return true;
    return (lo & WRITABLE) !== 0 && !this.isDirty(lo, hi);
  }
  /** Changing the first value to the second takes writes away that a TLB may still allow. */
  losesWrite(oldLo: number, oldHi: number, lo: number, hi: number): boolean {
    return this.flushOnW
      ? (oldLo & WRITABLE) !== 0 && (lo & WRITABLE) === 0
      : this.isMmuWritable(oldLo, oldHi) && !this.isMmuWritable(lo, hi);
  }

  /**
   * A mark can name this gfn: those beyond the host's address width, or with address bits that the mark
   * itself takes (49 and up in EPT of 2012), are emulated without one.
   */
  canMark(gfn: number): boolean {
    const fits = gfn < 2 ** (this.physicalBits - 12) && (pfnHi(gfn) & ~this.mmioGfnHi) === 0;
    return this.marksMmio && fits;
  }
  /** Halves of the mark for `gfn`; access W|U where it is kept, generation 7:0 at bit 3, the rest at bit 52. */
  mmioLo(gfn: number, access: number, generation: number): number {
    const low = this.storedGeneration(generation) & 0xff;
    return pfnLo(gfn) | (low << 3) | (access & this.mmioAccessMask) | this.mmioValueLo;
  }
  mmioHi(gfn: number, generation: number): number {
    const high = this.storedGeneration(generation) >>> 8;
    return ((high << 20) | this.mmioValueHi | pfnHi(gfn)) >>> 0;
  }
  mmioGfn(lo: number, hi: number): number {
    return (hi & this.mmioGfnHi) * PFN_HI_UNIT + (lo >>> 12);
  }
  mmioAccess(lo: number): number {
    return lo & this.mmioAccessMask;
  }
  mmioGeneration(lo: number, hi: number): number {
    return this.generationUnit === 1 ? 0 : (((hi >>> 20) & 0x7ff) << 8) | ((lo >>> 3) & 0xff);
  }
  /** Marks made under older slots can be told from current ones. */
  get storesGeneration(): boolean {
    return this.generationUnit > 1;
  }
  /** The part of a slots generation that a mark can hold. */
  storedGeneration(generation: number): number {
    return generation % this.generationUnit;
  }

  /** `rwxu` text of the kvm_mmu_set_spte tracepoint. */
  accessText(spte: bigint): string {
    const lo = Number(spte & 0xffffffffn);
    const hi = Number(spte >> 32n);
    const user = this.hardware === "ept" ? "" : lo & this.user ? "u" : "-";
    return `${lo & 1 ? "r" : "-"}${lo & WRITABLE ? "w" : "-"}${this.isExecutable(lo, hi) ? "x" : "-"}${user}`;
  }
  /** Ids of the bits that are set, in the order of the table, a memory type by its name: `p u a host-w mmu-p`. */
  flags(spte: bigint, level: number): readonly string[] {
    const leaf = level === 1 || (spte & BigInt(LARGE)) !== 0n;
    const applies = (row: SpteBit): boolean =>
      row.where === "all" || (row.where === "leaf" ? leaf : leaf && level > 1);
    const memoryType = eptMemoryType(Number(spte & 0xffn)).short.toLowerCase();
    return this.bits.filter(applies).flatMap(({ bit, id }) => {
      if (/^mt\d$/.test(id)) return id === "mt0" ? [memoryType] : [];
      return (spte >> BigInt(bit)) & 1n ? [id] : [];
    });
  }
}

/** The format of this hardware and era; see `spteLayout` for `physicalBits`. */
export const spteFormat = (hardware: SpteHardware, era: Era, physicalBits: number): SpteFormat =>
  new SpteFormat(spteLayout(hardware, era, physicalBits));
