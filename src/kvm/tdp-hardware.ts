import {
  ACC,
  CR0,
  CR4,
  EFER,
  eptRules,
  type PagingFeatures,
  type WalkRules,
  walkRules,
} from "../x86";
import type { MmuKnobs } from "./mmu/knobs";
import { ROLE, type RoleWord, withAccess, withLevel } from "./mmu/role";
import type { Profile } from "./profile";

/** The two-dimensional paging of the host's processors, the same for all vCPUs of a VM. */
export interface TdpHardware {
  readonly vendor: "vmx" | "svm";
  /** How the second dimension is walked. */
  readonly rules: WalkRules;
  /** Role of every root (kvm_calc_tdp_mmu_root_page_role). */
  readonly rootRole: RoleWord;
  /** Dirty flags that the processor sets are logged (PML). */
  readonly pml: boolean;
}

/** Guest-physical addresses beyond this need a fifth level. */
const FOUR_LEVEL_BITS = 48;

/**
 * `features` are the guest's: a fifth level only where its addresses need one. Kernels before 3.11 do
 * not use EPT's A/D flags, and SVM has no PML.
 */
export function tdpHardware(
  paging: "ept" | "npt",
  features: PagingFeatures,
  physicalBits: number,
  profile: Profile,
  knobs: MmuKnobs,
): TdpHardware {
  const levels = features.physicalBits > FOUR_LEVEL_BITS ? 5 : 4;
  const modern = profile.era === "modern";
  const base = withAccess(withLevel(0, levels), ACC.all);
  const rootRole = base | ROLE.direct | ROLE.eferNx | ROLE.cr0Wp;
  if (paging === "npt") {
    const rules = nptRules(levels, features, physicalBits);
    return { vendor: "svm", rules, rootRole, pml: false };
  }
  const ad = knobs.eptad && modern;
  const rules = eptHostRules(levels, ad, physicalBits, modern);
  // Older roles have no such bit: there all trees do without the flags.
  const disabled = modern && !ad ? ROLE.adDisabled : 0;
  return { vendor: "vmx", rules, rootRole: rootRole | disabled, pml: ad && knobs.pml };
}

/** NPT tables are those of the host's own paging, with four or five levels (APM 2 15.25.5). */
export function nptRules(
  levels: number,
  features: PagingFeatures,
  physicalBits: number,
): WalkRules {
  const cr4 = CR4.PAE | (levels === 5 ? CR4.LA57 : 0n);
  const host = { cr0: CR0.PE | CR0.PG | CR0.WP, cr4, efer: EFER.LMA | EFER.NX };
  return walkRules(host, { ...features, physicalBits, gigabytePages: true });
}

/** EPT as the host's processors have it. */
export const eptHostRules = (
  levels: 4 | 5,
  accessedDirty: boolean,
  physicalBits: number,
  executeOnly = true,
): WalkRules =>
  eptRules({
    physicalBits,
    levels,
    accessedDirty,
    executeOnly,
    megabytePages: true,
    gigabytePages: true,
  });
