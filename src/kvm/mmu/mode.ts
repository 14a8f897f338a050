import { CR0, CR4, EFER, type PagingFeatures, walkRules } from "../../x86";
import type { MmuMode } from "./context";
import { cpuRole, gpteExt, shadowRootRole } from "./cpu-role";
import type { GuestCpu } from "./guest-cpu";
import { roleLevel } from "./role";

/**
 * What the guest's registers mean for the shadow MMU (mmu.rst; `init_kvm_mmu`). The guest's tables are
 * read by what its CPUID says, the shadow tables by what the host is.
 */
export function mmuMode(
  cpu: GuestCpu,
  features: PagingFeatures,
  hostPhysicalBits: number,
): MmuMode {
  const role = cpuRole(cpu);
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
 * Registers the guest really runs with: paging always on with WP and NX, sptes never global; SMEP
 * and SMAP as the guest has them, but off while it does not page, when all its pages are user pages.
 */
function hardwareControls(cpu: GuestCpu, guestLevel: number) {
  const own = guestLevel > 0 ? cpu.cr4 & (CR4.SMEP | CR4.SMAP) : 0n;
  return {
    cr0: CR0.PE | CR0.PG | CR0.WP,
    cr4: CR4.PAE | own | (guestLevel === 5 ? CR4.LA57 : 0n),
    efer: EFER.NX | (guestLevel >= 4 ? EFER.LMA : 0n),
  };
}
