import { CR0, CR4, type PagingFeatures, walkRules } from "../../x86";
import { cpuRole, gpteExt } from "../mmu/cpu-role";
import type { MmuMode } from "../mmu/kvm-mmu";
import { ROLE, roleLevel, withLevel } from "../mmu/role";
import { nptRules, type TdpHardware } from "../tdp-hardware";
import type { NestedNpt } from "./guest-mode";

/**
 * Mode of `guest_mmu` over L1's nested page tables (kvm_init_shadow_npt_mmu): they are read by L1's
 * registers, protection keys aside, and their shadow has the levels of the host's own second dimension. A
 * fifth level that L1's tables lack is one page with one entry (`passthrough`).
 */
export function nestedNptMode(
  { hcr0, hcr4, efer }: NestedNpt,
  features: PagingFeatures,
  tdp: TdpHardware,
  physicalBits: number,
): MmuMode {
  if (!(hcr0 & CR0.PG)) throw new Error("nested paging by an L1 that does not page");
  const registers = { cr0: hcr0, cr4: hcr4 & ~CR4.PKE, efer };
  const role = cpuRole(registers, true);
  const own = roleLevel(role.base);
  // A host whose guests need five levels has them; one whose L1 uses five has them too.
  const levels = Math.max(roleLevel(tdp.rootRole), own);
  const passthrough = levels === 5 && own === 4 ? ROLE.passthrough : 0;
  return {
    cpuRole: role,
    rootRole: withLevel(role.base, levels) | passthrough,
    gpteExt: gpteExt(role),
    guestRules: walkRules(registers, features),
    hardwareRules:
      levels === roleLevel(tdp.rootRole) ? tdp.rules : nptRules(levels, features, physicalBits),
  };
}
