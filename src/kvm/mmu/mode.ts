import { CR0, CR4, EFER, type PagingFeatures, type WalkRules, walkRules } from "../../x86";
import { cpuRole, gpteExt, type ModeRegisters, shadowRootRole } from "./cpu-role";
import type { MmuMode } from "./kvm-mmu";
import { ROLE, type RoleWord, roleLevel } from "./role";

/**
 * What the guest's registers mean for the shadow MMU (mmu.rst; `init_kvm_mmu`). The guest's tables are
 * read by what its CPUID says, the shadow tables by what the host is.
 */
export function shadowMode(
  cpu: ModeRegisters,
  features: PagingFeatures,
  hostPhysicalBits: number,
  guestMode = false,
): MmuMode {
  const role = cpuRole(cpu, guestMode);
  const level = roleLevel(role.base);
  return {
    cpuRole: role,
    rootRole: shadowRootRole(role),
    gpteExt: gpteExt(role),
    guestRules: walkRules(cpu, features),
    hardwareRules: walkRules(hardwareControls(cpu, level), {
      ...features,
      physicalBits: hostPhysicalBits,
      gigabytePages: true,
    }),
  };
}

/**
 * The same with two-dimensional paging (init_kvm_tdp_mmu): the registers decide how the guest's own
 * tables are walked, and nothing of what the sptes hold.
 */
export function tdpMode(
  cpu: ModeRegisters & { readonly pkru: number },
  features: PagingFeatures,
  tdp: { readonly rules: WalkRules; readonly rootRole: RoleWord },
  guestMode = false,
): MmuMode {
  return {
    cpuRole: cpuRole(cpu, guestMode),
    rootRole: guestMode ? tdp.rootRole | ROLE.guestMode : tdp.rootRole,
    gpteExt: 0,
    guestRules: walkRules(cpu, features, cpu.pkru),
    hardwareRules: tdp.rules,
  };
}

/**
 * Registers the guest really runs with: paging always on with WP and NX, sptes never global; SMEP
 * and SMAP as the guest has them, but off while it does not page, when all its pages are user pages.
 */
function hardwareControls(cpu: ModeRegisters, guestLevel: number) {
  const own = guestLevel > 0 ? cpu.cr4 & (CR4.SMEP | CR4.SMAP) : 0n;
  return {
    cr0: CR0.PE | CR0.PG | CR0.WP,
    cr4: CR4.PAE | own | (guestLevel === 5 ? CR4.LA57 : 0n),
    efer: EFER.NX | (guestLevel >= 4 ? EFER.LMA : 0n),
  };
}
