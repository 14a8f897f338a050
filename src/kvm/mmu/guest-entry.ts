import {
  ACC,
  type Entry,
  eptFormat,
  eptMisconfigured,
  type Format,
  type Gfn,
  type Gpa,
  gfn,
  gpaOf,
  longFormat,
  paeFormat,
  reservedAt,
  rightsOf,
  twoLevelFormat,
  type WalkRules,
} from "../../x86";
import { EXT } from "./cpu-role";
import { ROLE, roleAccess, roleQuadrant } from "./role";
import { ENTRIES, type ShadowPage } from "./shadow-page";

/* What a level-1 guest entry says, for the code that reads it without a walk (sync, prefetch). */

/** Bits of the low half of a guest entry, EPT's aside (SDM 3A 4.5). */
export const GPTE = {
  present: 1,
  writable: 2,
  user: 4,
  accessed: 0x20,
  dirty: 0x40,
  large: 0x80,
} as const;
const FRAME_HI = 0xfffff;

const EPT = eptFormat(4, true);
const EPT_WITHOUT_AD = eptFormat(4, false);

/** Bytes of an entry of the guest table that `page` shadows. */
export const gpteBytes = (page: ShadowPage): 4 | 8 => (page.role & ROLE.has4ByteGpte ? 4 : 8);

/** The format in which the table that `page` shadows was read, but for the number of levels: it does not matter to one table. */
export function gpteFormat(page: ShadowPage): Format {
  if (page.gpteExt & EXT.ept) return page.role & ROLE.adDisabled ? EPT_WITHOUT_AD : EPT;
  if (gpteBytes(page) === 4) return twoLevelFormat((page.gpteExt & EXT.cr4Pse) !== 0);
  if ((page.gpteExt & EXT.eferLma) === 0) return paeFormat();
  return longFormat(5);
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
 * Access that an entry of this format grants inside a page: without D no write, so that the first write
 * comes to the walker.
 */
export function gpteAccess(format: Format, page: ShadowPage, { lo, hi }: Entry): number {
  const { dirty } = format;
  const clean = dirty !== 0 && !(lo & dirty);
  return rightsOf(format, lo, hi) & roleAccess(page.role) & (clean ? ~ACC.write : ACC.all);
}

/** Rights that the entry grants by itself. */
export const gpteRights = (page: ShadowPage, { lo, hi }: Entry): number =>
  rightsOf(gpteFormat(page), lo, hi);

/** An spte may stand for the entry before the guest uses it: present, accessed, no reserved bit. */
export function isPrefetchable({ lo, hi }: Entry, rules: WalkRules): boolean {
  const { format, reserved, badMtXwr } = rules;
  if (!(lo & format.present) || (lo & format.accessed) !== format.accessed) return false;
  if (format.ept && eptMisconfigured(badMtXwr, lo)) return false;
  const at = reservedAt(1, (lo >>> 7) & 1);
  return (lo & reserved[at]!) === 0 && (hi & reserved[at + 1]!) === 0;
}
