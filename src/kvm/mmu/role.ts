import { ACC } from "../../x86";
import type { Era } from "../profile";

/** `role.word` of a shadow page: 32 bits, layout in `ROLE_FIELDS`. Equal words mean interchangeable pages. */
export type RoleWord = number;

/** One field of the role word. */
export interface RoleField {
  readonly id: string;
  readonly shift: number;
  readonly width: number;
  readonly about: string;
}

/** The role word of modern kernels, low bits first (mmu.rst, "role"). */
export const ROLE_FIELDS = [
  { id: "level", shift: 0, width: 4, about: "level in the shadow hierarchy: 1 = 4K, 2 = 2M, …" },
  { id: "has_4_byte_gpte", shift: 4, width: 1, about: "the guest table holds 1024 32-bit entries" },
  { id: "quadrant", shift: 5, width: 2, about: "which part of a 32-bit guest table is shadowed" },
  { id: "direct", shift: 7, width: 1, about: "a linear range: no guest table behind the page" },
  { id: "access", shift: 8, width: 3, about: "access inherited from the tables above" },
  { id: "invalid", shift: 11, width: 1, about: "zapped, but still loaded as a root somewhere" },
  { id: "efer_nx", shift: 12, width: 1, about: "EFER.NX for which the page is valid" },
  { id: "cr0_wp", shift: 13, width: 1, about: "CR0.WP for which the page is valid" },
  { id: "smep_andnot_wp", shift: 14, width: 1, about: "CR4.SMEP set with CR0.WP clear" },
  { id: "smap_andnot_wp", shift: 15, width: 1, about: "CR4.SMAP set with CR0.WP clear" },
  { id: "ad_disabled", shift: 16, width: 1, about: "this tree must not use A/D bits" },
  { id: "guest_mode", shift: 17, width: 1, about: "built for a nested guest" },
  { id: "passthrough", shift: 18, width: 1, about: "a host level that the guest tables lack" },
  { id: "smm", shift: 24, width: 8, about: "address space: 1 in system management mode" },
] as const satisfies readonly RoleField[];

const fieldMask = (id: (typeof ROLE_FIELDS)[number]["id"]): number => {
  const field = ROLE_FIELDS.find((f) => f.id === id)!;
  return (2 ** field.width - 1) << field.shift;
};

/** Masks of the fields above. */
export const ROLE = {
  level: fieldMask("level"),
  has4ByteGpte: fieldMask("has_4_byte_gpte"),
  quadrant: fieldMask("quadrant"),
  direct: fieldMask("direct"),
  access: fieldMask("access"),
  invalid: fieldMask("invalid"),
  eferNx: fieldMask("efer_nx"),
  cr0Wp: fieldMask("cr0_wp"),
  smepAndnotWp: fieldMask("smep_andnot_wp"),
  smapAndnotWp: fieldMask("smap_andnot_wp"),
  adDisabled: fieldMask("ad_disabled"),
  guestMode: fieldMask("guest_mode"),
  passthrough: fieldMask("passthrough"),
} as const;

const QUADRANT_SHIFT = 5;
const ACCESS_SHIFT = 8;
const SMM_SHIFT = 24;

export const roleLevel = (role: RoleWord): number => role & ROLE.level;
export const roleAccess = (role: RoleWord): number => (role & ROLE.access) >> ACCESS_SHIFT;
export const roleQuadrant = (role: RoleWord): number => (role & ROLE.quadrant) >> QUADRANT_SHIFT;
/** Index of the slot set (address space) the page belongs to. */
export const roleSmm = (role: RoleWord): number => role >>> SMM_SHIFT;
/** The page stands for a guest table. Pages with `passthrough` have no table of their own. */
export const roleHasGptes = (role: RoleWord): boolean =>
  (role & (ROLE.direct | ROLE.passthrough)) === 0;

export const withLevel = (role: RoleWord, level: number): RoleWord => (role & ~ROLE.level) | level;
export const withAccess = (role: RoleWord, access: number): RoleWord =>
  (role & ~ROLE.access) | (access << ACCESS_SHIFT);
export const withQuadrant = (role: RoleWord, quadrant: number): RoleWord =>
  (role & ~ROLE.quadrant) | (quadrant << QUADRANT_SHIFT);

/**
 * Role of a page reached from entry `index` of a page of role `parent` (mmu.rst, "role"): one level
 * down. With 4-byte gptes two neighbouring entries share one guest table; the odd one maps its
 * second half.
 */
export function childRole(
  parent: RoleWord,
  direct: boolean,
  access: number,
  index: number,
): RoleWord {
  let role = withAccess(withLevel(parent, roleLevel(parent) - 1), access) & ~ROLE.passthrough;
  if (direct) return (role | ROLE.direct) & ~(ROLE.has4ByteGpte | ROLE.quadrant);
  role &= ~ROLE.direct;
  return role & ROLE.has4ByteGpte ? withQuadrant(role, index & 1) : role;
}

/** `wux` text of an access value (the ACC strings of the kvmmmu tracepoints). */
export const accessText = (access: number): string =>
  `${access & ACC.write ? "w" : "-"}${access & ACC.user ? "u" : "-"}${access & ACC.exec ? "x" : "-"}`;

/**
 * What older kernels called a field, and what it held there: `cr4_pae` is `has_4_byte_gpte` the other
 * way round, and 0 in direct pages. Fields that are not here they did not have.
 */
const OLDER_FIELDS: Readonly<Record<string, Partial<RoleField>>> = {
  level: {},
  has_4_byte_gpte: { id: "cr4_pae", about: "CR4.PAE for which the page is valid: 64-bit gptes" },
  quadrant: {},
  direct: {},
  access: {},
  invalid: {},
  efer_nx: { id: "nxe", about: "EFER.NXE for which the page is valid" },
  cr0_wp: {},
};
const FIELDS_OF: Readonly<Record<Era, Readonly<Record<string, Partial<RoleField>>> | undefined>> = {
  "2010": OLDER_FIELDS,
  "2012": { ...OLDER_FIELDS, smep_andnot_wp: {} },
  modern: undefined,
};

/** Every field of a role with its value, for views: by the names of the era. */
export function describeRole(
  role: RoleWord,
  era: Era = "modern",
): readonly { field: RoleField; value: number }[] {
  const older = FIELDS_OF[era];
  return ROLE_FIELDS.filter(({ id }) => !older || Object.hasOwn(older, id)).map((today) => {
    const field: RoleField = { ...today, ...older?.[today.id] };
    const value = (role >>> field.shift) & (2 ** field.width - 1);
    return field.id === "cr4_pae"
      ? { field, value: role & ROLE.direct ? 0 : 1 - value }
      : { field, value };
  });
}
