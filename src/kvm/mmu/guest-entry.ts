import {
  ACC,
  type Entry,
  type Format,
  type Gfn,
  type Gpa,
  gfn,
  gpaOf,
  longFormat,
  paeFormat,
  type ReservedMasks,
  reservedAt,
  twoLevelFormat,
} from "../../x86";
import { EXT } from "./cpu-role";
import { ROLE, roleAccess, roleQuadrant } from "./role";
import { ENTRIES, type ShadowPage } from "./shadow-page";

/* What a level-1 guest entry says, for the code that reads it without a walk (sync, prefetch). */

/** Bits of the low half of a guest entry (SDM 3A 4.5). */
export const GPTE = {
  present: 1,
  writable: 2,
  user: 4,
  accessed: 0x20,
  dirty: 0x40,
  large: 0x80,
} as const;
const NX = 0x80000000;
const FRAME_HI = 0xfffff;

/** Bytes of an entry of the guest table that `page` shadows. */
export const gpteBytes = (page: ShadowPage): 4 | 8 => (page.role & ROLE.has4ByteGpte ? 4 : 8);

/** The format in which the table that `page` shadows was read. */
export function gpteFormat(page: ShadowPage): Format {
  if (gpteBytes(page) === 4) return twoLevelFormat((page.gpteExt & EXT.cr4Pse) !== 0);
  if ((page.gpteExt & EXT.eferLma) === 0) return paeFormat();
  return longFormat(page.level === 5 ? 5 : 4);
}

/**
 * Address of the guest entry behind entry `index`. A 4-byte table has 1024 entries: a level-1 page stands
 * for the half that its quadrant says, one of level 2 for a quarter, each entry shared by two sptes.
 */
export function gpteAddress(page: ShadowPage, index: number): Gpa {
  if (gpteBytes(page) === 8) return gpaOf(page.gfn, 8 * index);
  const place = roleQuadrant(page.role) * ENTRIES + index;
  return gpaOf(page.gfn, 4 * (page.level === 1 ? place : place >> 1));
}

/** gfn a 4K entry maps. */
export const gpteGfn = (entry: Entry): Gfn =>
  gfn((entry.hi & FRAME_HI) * 0x100000 + (entry.lo >>> 12));

/**
 * Access that the entry grants inside a page with role `page.role`: without D no write, so that the
 * first write comes to the walker.
 */
export function gpteAccess(page: ShadowPage, entry: Entry): number {
  let access = entry.hi & NX ? 0 : ACC.exec;
  if (entry.lo & GPTE.writable && entry.lo & GPTE.dirty) access |= ACC.write;
  if (entry.lo & GPTE.user) access |= ACC.user;
  return access & roleAccess(page.role);
}

/** An spte may stand for the entry before the guest uses it: present, accessed, no reserved bit. */
export function isPrefetchable(entry: Entry, reserved: ReservedMasks): boolean {
  const wanted = GPTE.present | GPTE.accessed;
  if ((entry.lo & wanted) !== wanted) return false;
  const at = reservedAt(1, (entry.lo >>> 7) & 1);
  return (entry.lo & reserved[at]!) === 0 && (entry.hi & reserved[at + 1]!) === 0;
}
