import { ACC, eptRules, type PagingFeatures } from "../../x86";
import { EXT, gpteExt } from "../mmu/cpu-role";
import type { MmuMode } from "../mmu/kvm-mmu";
import { ROLE, withAccess, withLevel } from "../mmu/role";
import { eptHostRules } from "../tdp-hardware";
import type { NestedEpt } from "./guest-mode";

/** Fields of an EPTP (SDM 3C 24.6.11): page-walk length less one, and whether the processor sets A and D. */
const WALK_LENGTH = 3n;
const WALK_LENGTH_MASK = 7n;
const ACCESSED_DIRTY = 1n << 6n;
/** Bits 51:12, EP4TA: EPTPs that agree in them are the same context to INVEPT. */
const ADDRESS = 0xffffffffff000n;

/** Both name the same table, which is all that cached translations are told apart by (nested_ept_root_matches). */
export const sameEp4ta = (one: bigint, other: bigint): boolean => ((one ^ other) & ADDRESS) === 0n;

/**
 * Mode of `guest_mmu` over L1's EPT (kvm_init_shadow_ept_mmu): as many levels as its EPTP says, and A and D
 * flags only where L1 asked for them, in its entries and in the host's. No register of L1's counts.
 */
export function nestedEptMode(
  { eptp }: NestedEpt,
  features: PagingFeatures,
  physicalBits: number,
): MmuMode {
  const levels = ((eptp >> WALK_LENGTH) & WALK_LENGTH_MASK) === 4n ? 5 : 4;
  const accessedDirty = (eptp & ACCESSED_DIRTY) !== 0n;
  const base =
    withAccess(withLevel(ROLE.guestMode, levels), ACC.all) | (accessedDirty ? 0 : ROLE.adDisabled);
  const cpuRole = { base, ext: EXT.valid | EXT.ept };
  return {
    cpuRole,
    rootRole: base,
    gpteExt: gpteExt(cpuRole),
    guestRules: eptRules({
      physicalBits: features.physicalBits,
      levels,
      accessedDirty,
      executeOnly: true,
      megabytePages: true,
      gigabytePages: features.gigabytePages,
    }),
    hardwareRules: eptHostRules(levels, accessedDirty, physicalBits),
  };
}
