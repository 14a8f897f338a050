import { CR0, CR4, EFER } from "../cpu/layout";
import { NO_BAD_MT_XWR } from "./ept-misconfiguration";
import {
  type Format,
  longFormat,
  nonpagingFormat,
  type PagingMode,
  paeFormat,
  twoLevelFormat,
} from "./format";
import { permissionTable, pkruMaskOf } from "./permission";
import { reservedMasks } from "./reserved";
import type { WalkRules } from "./walk";

/** The registers that choose a paging mode. */
export interface PagingControls {
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
}

/** What CPUID says about paging. */
export interface PagingFeatures {
  /** MAXPHYADDR, 32…52. */
  readonly physicalBits: number;
  readonly gigabytePages: boolean;
  readonly pse36: boolean;
  /** An AMD-compatible processor. */
  readonly amd: boolean;
}

/** SDM 3A 4.1.1. EFER.LMA is taken as it is: the processor keeps it equal to LME & PG. */
export function pagingMode({ cr0, cr4, efer }: PagingControls): PagingMode {
  if (!(cr0 & CR0.PG)) return "none";
  if (efer & EFER.LMA) return cr4 & CR4.LA57 ? "5-level" : "4-level";
  return cr4 & CR4.PAE ? "PAE" : "32-bit";
}

/** The format that these registers select. */
export function pagingFormat(controls: PagingControls): Format {
  switch (pagingMode(controls)) {
    case "none":
      return nonpagingFormat();
    case "32-bit":
      return twoLevelFormat((controls.cr4 & CR4.PSE) !== 0n);
    case "PAE":
      return paeFormat();
    case "4-level":
      return longFormat(4);
    case "5-level":
      return longFormat(5);
  }
}

/** Rules for walks under these registers; made once per register change, not per walk. */
export function walkRules(controls: PagingControls, features: PagingFeatures, pkru = 0): WalkRules {
  const { cr0, cr4, efer } = controls;
  const format = pagingFormat(controls);
  const paging = format.levels > 0;
  const wp = (cr0 & CR0.WP) !== 0n;
  // NX exists in 8-byte entries only: EFER.NX does nothing under 32-bit paging.
  const nx = format.entryBytes === 8 && (efer & EFER.NX) !== 0n;
  // Rights are a matter of paging: without it every access is allowed.
  const smep = paging && (cr4 & CR4.SMEP) !== 0n;
  const smap = paging && (cr4 & CR4.SMAP) !== 0n;
  return {
    format,
    reserved: reservedMasks(format, { ...features, nx }),
    badMtXwr: NO_BAD_MT_XWR,
    permissions: permissionTable({ wp, nx, smep, smap }),
    pkruMask: pkruMaskOf(format.protectionKeys && (cr4 & CR4.PKE) !== 0n, wp),
    pkru,
    globalPages: (cr4 & CR4.PGE) !== 0n,
    fetchReported: nx || smep,
  };
}

/** The same rules under another PKRU, whose writes tell nobody: the object itself where nothing changes. */
export const withPkru = (rules: WalkRules, pkru: number): WalkRules =>
  rules.pkruMask === 0 || rules.pkru === pkru ? rules : { ...rules, pkru };

/**
 * The same tables without their rights: what is mapped, whoever may use it. For a debugger that looks;
 * absent entries and reserved bits still end a walk.
 */
export const withoutRights = (rules: WalkRules): WalkRules => ({
  ...rules,
  permissions: new Uint8Array(16),
  pkruMask: 0,
});
