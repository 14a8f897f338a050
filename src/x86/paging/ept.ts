import { badMtXwr } from "./ept-misconfiguration";
import { eptFormat, type Format } from "./format";
import { permissionTable } from "./permission";
import { bits, maskTable, type ReservedMasks } from "./reserved";
import type { WalkRules } from "./walk";

/** What the processor's EPT can do, and what the EPTP asks of it (SDM 3C 24.6.11, appendix A.10). */
export interface EptFeatures {
  /** MAXPHYADDR, 32…52. */
  readonly physicalBits: number;
  /** Page-walk length. */
  readonly levels: 4 | 5;
  /** Accessed and dirty flags are on: bit 6 of the EPTP. */
  readonly accessedDirty: boolean;
  /** Entries that allow fetches alone are no misconfiguration. */
  readonly executeOnly: boolean;
  readonly megabytePages: boolean;
  readonly gigabytePages: boolean;
}

/** Rules for walks of EPT tables. An access is a `walkAccess` in which U means read. */
export function eptRules(features: EptFeatures): WalkRules {
  const format = eptFormat(features.levels, features.accessedDirty);
  return {
    format,
    reserved: eptReserved(format, features),
    badMtXwr: badMtXwr(features.executeOnly),
    // Rights are those of EPT entries alone: no CR0.WP, SMEP or SMAP in this dimension.
    permissions: permissionTable({ wp: true, nx: true, smep: false, smap: false }),
    pkruMask: 0,
    pkru: 0,
    globalPages: false,
    fetchReported: true,
  };
}

/** Reserved bits of EPT entries (SDM 3C 28.3.2, tables 28-1 … 28-7). */
const eptReserved = (format: Format, features: EptFeatures): ReservedMasks =>
  maskTable(format, (level, bit7) => {
    const beyond = bits(features.physicalBits, 51);
    if (level === 1) return beyond;
    if (level > 3) return beyond | bits(3, 7);
    const large = level === 2 ? features.megabytePages : features.gigabytePages;
    if (bit7 && large) return beyond | bits(12, 11 + 9 * (level - 1));
    return beyond | bits(3, large ? 6 : 7);
  });
