import type { Gfn, Hpa } from "../../x86";
import { gfn, pagesPerLevel } from "../../x86";
import type { PteList } from "./pte-list";
import { ROLE, type RoleWord, roleAccess, roleHasGptes, roleLevel } from "./role";
import type { Sptep } from "./spte";

/** Entries of a table of 8-byte entries. */
export const ENTRIES = 512;
const BITMAP_WORDS = ENTRIES / 32;
/** Records of a shadowed translation are `gfn << 12 | access`, kept as a number below 2^52. */
const TRANSLATION_UNIT = 4096;

/** A host frame for sptes: its address, and its first entry. */
export interface ShadowFrame {
  readonly spt: Hpa;
  readonly base: Sptep;
}

/**
 * `kvm_mmu_page`: the bookkeeping of one shadow page, whose 512 sptes are bytes of a host frame.
 * `(gfn, role)` is its key; no two valid pages share one (mmu.rst, "Shadow pages").
 */
export class ShadowPage {
  /** Changes once in a lifetime: `invalid` is set when the page is zapped. */
  role: RoleWord;
  /** The guest table shadowed, or the first gfn of the range when the role is direct. */
  readonly gfn: Gfn;
  /** Host address of the frame that holds the sptes. */
  readonly spt: Hpa;
  /** Entry 0 as a word number; entry `i` is `base + i`. */
  readonly base: Sptep;
  /** Position in the order of creation within the VM, from 0. */
  readonly serial: number;

  /** The sptes may differ from the gptes; only ever set on valid level-1 pages with gptes. */
  unsync = false;
  /** Set bits of `unsyncChildBitmap`; zero means the subtree needs no sync before use. */
  unsyncChildren = 0;
  /** Bit `i`: entry `i` may lead to an unsync page. Stale set bits are allowed, missing ones are not. */
  readonly unsyncChildBitmap = new Uint32Array(BITMAP_WORDS);
  /**
   * Root slots (current and cached, of all vCPUs) that hold this page; it is not freed while above 0.
   * For a root of the TDP MMU the same field is `tdp_mmu_root_count`, which counts the MMU itself too.
   */
  rootCount = 0;
  /** A page of the TDP MMU: in no list, hash or rmap, and with one parent entry at most. */
  readonly tdpMmuPage: boolean;
  /** `gpteExt` of the MMU that made the page: its gptes are read by these rules and no others. */
  readonly gpteExt: number;
  /** The page is obsolete when this differs from the VM's `mmuValidGen`. */
  readonly mmuValidGen: number;
  /** On a 32-bit host: how often one of its entries became empty, for those who read halves without the lock. */
  clearSpteCount = 0;
  /** Emulated writes since the page was last used by a fault; 3 make it go (mmu.rst). */
  writeFloodingCount = 0;
  /** The entries that point at this page: the edges of the graph, upwards. One for a TDP MMU page (`ptep`). */
  parentPtes: PteList = 0;
  /**
   * What each present leaf was built from, `gfn << 12 | access`. Only pages with gptes up to level 3
   * have it: direct pages compute it, and higher levels have no leaves.
   */
  readonly shadowedTranslation: Float64Array | undefined;
  /** Made because a fetch may not be served by a huge leaf (`nx_huge_page_disallowed`). */
  nxHugePageDisallowed = false;
  /** Bit n: an entry maps slot n, or did (older kernels' `slot_bitmap`; slots that share memory may be missed). */
  slotBitmap = 0;
  /** Neighbours in the active list. */
  newer: ShadowPage | undefined;
  older: ShadowPage | undefined;

  constructor(
    key: { readonly gfn: Gfn; readonly role: RoleWord },
    frame: ShadowFrame,
    birth: {
      readonly serial: number;
      readonly mmuValidGen: number;
      readonly gpteExt: number;
      readonly tdpMmuPage?: boolean;
    },
  ) {
    this.gfn = key.gfn;
    this.role = key.role;
    this.spt = frame.spt;
    this.base = frame.base;
    this.serial = birth.serial;
    this.mmuValidGen = birth.mmuValidGen;
    this.gpteExt = birth.gpteExt;
    this.tdpMmuPage = birth.tdpMmuPage === true;
    if (roleHasGptes(key.role) && roleLevel(key.role) <= 3)
      this.shadowedTranslation = new Float64Array(ENTRIES);
  }

  get level(): number {
    return roleLevel(this.role);
  }
  get direct(): boolean {
    return (this.role & ROLE.direct) !== 0;
  }
  get invalid(): boolean {
    return (this.role & ROLE.invalid) !== 0;
  }
  get hasGptes(): boolean {
    return roleHasGptes(this.role);
  }

  /** gfn that entry `index` maps or would map; for indirect pages only while it is a present leaf. */
  gfnAt(index: number): Gfn {
    const record = this.shadowedTranslation;
    return record
      ? gfn(Math.floor(record[index]! / TRANSLATION_UNIT))
      : gfn(this.gfn + index * pagesPerLevel(this.level));
  }

  /** Access entry `index` was built with. */
  accessAt(index: number): number {
    const record = this.shadowedTranslation;
    return record ? record[index]! % TRANSLATION_UNIT : roleAccess(this.role);
  }

  recordTranslation(index: number, mapped: Gfn, access: number): void {
    const record = this.shadowedTranslation;
    if (record) record[index] = mapped * TRANSLATION_UNIT + access;
  }

  /** Sets the bitmap as a whole, and its count. */
  restoreUnsyncBitmap(bitmap: Uint32Array): void {
    this.unsyncChildBitmap.set(bitmap);
    this.unsyncChildren = 0;
    for (let i = this.nextUnsyncBit(0); i >= 0; i = this.nextUnsyncBit(i + 1))
      this.unsyncChildren++;
  }

  hasUnsyncBit(index: number): boolean {
    return ((this.unsyncChildBitmap[index >> 5]! >>> (index & 31)) & 1) !== 0;
  }
  /** Sets the bit and counts it. The bit must be clear. */
  addUnsyncBit(index: number): void {
    this.unsyncChildBitmap[index >> 5]! |= 1 << (index & 31);
    this.unsyncChildren++;
  }
  /** Clears the bit and uncounts it. The bit must be set. */
  removeUnsyncBit(index: number): void {
    this.unsyncChildBitmap[index >> 5]! &= ~(1 << (index & 31));
    this.unsyncChildren--;
  }
  /** First set bit at or after `from`, or -1. */
  nextUnsyncBit(from: number): number {
    for (let index = from; index < ENTRIES; index++) {
      const word = this.unsyncChildBitmap[index >> 5]! >>> (index & 31);
      if (word === 0) index |= 31;
      else return index + (31 - Math.clz32(word & -word));
    }
    return -1;
  }
}
