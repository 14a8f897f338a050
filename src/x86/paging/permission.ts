import { ACCESS } from "../cpu/board";

/** Rights that the entries of a walk grant together (bits of `role.access`). */
export const ACC = { exec: 1, write: 2, user: 4, all: 7 } as const;

/** Bits of a page-fault error code (SDM 3A 4.7, figure 4-12). */
export const PFEC = {
  present: 0x1,
  write: 0x2,
  user: 0x4,
  reserved: 0x8,
  fetch: 0x10,
  protectionKey: 0x20,
} as const;

/** Bit 3 of an access given to the walker: SMAP does not apply to it (EFLAGS.AC is set, explicit, CPL < 3). */
export const NO_SMAP = 0x8;

/** Bits of an access the permission table is indexed with. */
const TABLE_BITS = ACCESS.write | ACCESS.user | ACCESS.fetch | NO_SMAP;
const CODE_BITS = ACCESS.write | ACCESS.user | ACCESS.fetch;

/** Register bits that decide which accesses a page allows. */
export interface PermissionInputs {
  readonly wp: boolean;
  readonly nx: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
}

/**
 * The access of the processor (`ACCESS` bits) as the walker takes it: `ac` is EFLAGS.AC. It counts
 * for explicit supervisor accesses only (SDM 3A 4.6.1).
 */
export function walkAccess(access: number, ac: boolean): number {
  const smapOff = ac && (access & (ACCESS.user | ACCESS.implicit)) === 0;
  return (access & CODE_BITS) | (smapOff ? NO_SMAP : 0);
}

/** Bits W, U and F of the error code that this access leads to; F is reported by processors with NX or SMEP on. */
export const accessErrorBits = (access: number, fetchReported: boolean): number =>
  access & (fetchReported ? CODE_BITS : CODE_BITS & ~ACCESS.fetch);

/**
 * 16 bytes, indexed by `(access & 0x1e) >> 1`; bit n of a byte says that the access faults on a page
 * with ACC rights n (SDM 3A 4.6.1).
 */
export function permissionTable(inputs: PermissionInputs): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, index) => {
    let byte = 0;
    for (let rights = 0; rights <= ACC.all; rights++)
      if (isRefused(inputs, index << 1, rights)) byte |= 1 << rights;
    return byte;
  });
}

function isRefused(inputs: PermissionInputs, access: number, rights: number): boolean {
  const user = (access & ACCESS.user) !== 0;
  const fetch = (access & ACCESS.fetch) !== 0;
  const userPage = (rights & ACC.user) !== 0;
  if (user && !userPage) return true;
  if (access & ACCESS.write && !(rights & ACC.write) && (user || inputs.wp)) return true;
  if (fetch && inputs.nx && !(rights & ACC.exec)) return true;
  if (user || !userPage) return false;
  return fetch ? inputs.smep : inputs.smap && (access & NO_SMAP) === 0;
}

/**
 * Which of a key's two PKRU bits (AD, WD) refuse an access: the pair at bit `access + (user page ? 8 : 0)`.
 * Keys protect user pages from data accesses; WD stops the supervisor only with CR0.WP (SDM 3A 4.6.2).
 */
export const pkruMaskOf = (pke: boolean, wp: boolean): number => (pke ? (wp ? 0xdd00 : 0xd500) : 0);

/** 0 when allowed, else the error-code bits P and PK. `pkey` counts only with a `pkruMask`. */
export function permissionFault(
  permissions: Uint8Array,
  pkruMask: number,
  pkru: number,
  rights: number,
  pkey: number,
  access: number,
): number {
  const refused = ((permissions[(access & TABLE_BITS) >> 1] ?? 0) >> rights) & 1;
  let code = refused ? PFEC.present : 0;
  if (pkruMask !== 0) {
    const pair = pkruMask >>> ((access & CODE_BITS) + (rights & ACC.user ? 8 : 0));
    if ((pkru >>> (2 * pkey)) & pair & 3) code = PFEC.present | PFEC.protectionKey;
  }
  return code;
}
