import { ACC, CR0, CR4, EFER } from "../../x86";
import { ROLE, type RoleWord, roleLevel, withAccess, withLevel } from "./role";

/** The registers that decide how a guest translates. */
export interface ModeRegisters {
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
}

/** `cpu_role`: what the guest's registers ask for. Equal roles need no re-initialisation. */
export interface CpuRole {
  /** Laid out as a page role; level 0 when paging is off. */
  readonly base: RoleWord;
  /** `EXT` bits. */
  readonly ext: number;
}

/** The extended role: register bits that change walks but not what a shadow page holds. */
export const EXT = {
  valid: 1,
  cr4Pse: 2,
  cr4Pke: 4,
  cr4Smap: 8,
  cr4Smep: 16,
  cr4La57: 32,
  eferLma: 64,
  /** The tables are EPT, of a nested guest. KVM's bit there is `execonly`. */
  ept: 128,
} as const;

const NONPAGING: RoleWord = withAccess(ROLE.direct, ACC.all);

/** Levels of the guest's tables, 0 when it does not page (SDM 3A 4.1.1). */
function guestLevels(regs: ModeRegisters): number {
  if (!(regs.cr0 & CR0.PG)) return 0;
  if (regs.efer & EFER.LMA) return regs.cr4 & CR4.LA57 ? 5 : 4;
  return regs.cr4 & CR4.PAE ? 3 : 2;
}

/** cpu_role of a vCPU outside SMM; `guestMode` while L2 runs. */
export function cpuRole(regs: ModeRegisters, guestMode = false): CpuRole {
  const level = guestLevels(regs);
  const mode = guestMode ? ROLE.guestMode : 0;
  if (level === 0) return { base: NONPAGING | mode, ext: EXT.valid };
  const { cr4 } = regs;
  const wp = (regs.cr0 & CR0.WP) !== 0n;
  const lma = (regs.efer & EFER.LMA) !== 0n;
  let base = withAccess(withLevel(mode, level), ACC.all);
  if (regs.efer & EFER.NX) base |= ROLE.eferNx;
  if (wp) base |= ROLE.cr0Wp;
  if (!wp && cr4 & CR4.SMEP) base |= ROLE.smepAndnotWp;
  if (!wp && cr4 & CR4.SMAP) base |= ROLE.smapAndnotWp;
  if (!(cr4 & CR4.PAE)) base |= ROLE.has4ByteGpte;
  let ext: number = EXT.valid;
  if (cr4 & CR4.PSE) ext |= EXT.cr4Pse;
  if (cr4 & CR4.SMAP) ext |= EXT.cr4Smap;
  if (cr4 & CR4.SMEP) ext |= EXT.cr4Smep;
  if (lma) ext |= EXT.eferLma;
  if (lma && cr4 & CR4.PKE) ext |= EXT.cr4Pke;
  if (lma && cr4 & CR4.LA57) ext |= EXT.cr4La57;
  return { base, ext };
}

/**
 * The bits of the extended role that change what a gpte means: CR4.PSE for 4-byte ones, long mode for 8-byte
 * ones, whose bits 62:52 PAE paging reserves, and that they are EPT's. KVM's page role has neither, so that a guest which changes them
 * over living tables goes on with translations made before; here its pages are told apart.
 */
export const gpteExt = ({ base, ext }: CpuRole): number =>
  ext & (base & ROLE.has4ByteGpte ? EXT.cr4Pse : EXT.eferLma | EXT.ept);

/**
 * root_role of the shadow MMU: at least the three levels of a PAE root. `efer_nx` is the guest's where
 * bit 63 of a gpte means anything, as mmu.rst has it: kernels since 5.14 set it always, and then use
 * sptes of NX gptes for a guest that has cleared EFER.NX since and should get reserved-bit faults.
 */
export function shadowRootRole(cpu: CpuRole): RoleWord {
  const root = withLevel(cpu.base, Math.max(roleLevel(cpu.base), 3));
  return root & (ROLE.direct | ROLE.has4ByteGpte) ? root | ROLE.eferNx : root;
}
