import type { ShadowPage } from "./shadow-page";

/** Entries of a PAE root: the four words a processor loads as PDPTEs. */
export const PAE_ROOTS = 4;
/** Levels of a PAE root: the four words, and the pages behind them one lower. */
export const PAE_LEVELS = 3;

/**
 * A root slot of a vCPU: the current one or one of the cached ones.
 *
 * - `none`: INVALID_PAGE, to be built before the next entry.
 * - `page`: a 4- or 5-level shadow page.
 * - `pae`: up to four level-2 pages behind the vCPU's `pae_root`; never cached.
 * - `dummy`: the zero page, for a CR3 that points outside the slots.
 */
export type Root =
  | { readonly kind: "none" }
  | { readonly kind: "page"; readonly page: ShadowPage; readonly pgd: bigint }
  | {
      readonly kind: "pae";
      readonly pages: readonly (ShadowPage | undefined)[];
      readonly pgd: bigint;
    }
  | { readonly kind: "dummy"; readonly pgd: bigint };

export const NO_ROOT: Root = { kind: "none" };

/** The shadow pages a root slot holds a `rootCount` of. */
export function rootPages(root: Root): readonly ShadowPage[] {
  if (root.kind === "page") return [root.page];
  if (root.kind === "pae") return root.pages.filter((page) => page !== undefined);
  return [];
}
