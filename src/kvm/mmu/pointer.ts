import { pfnOf } from "../../x86";
import { ROLE } from "./role";
import type { ShadowPage } from "./shadow-page";
import { pfnHi, pfnLo } from "./spte";
import { AD_KIND, type SpteFormat } from "./spte-format";

/*
 * Halves of an spte that points at a page (make_nonleaf_spte): permissions wide open, as the leaves say
 * what is allowed (mmu.rst), and A as far as the page's role uses A bits.
 */

export const pointerLo = (format: SpteFormat, page: ShadowPage): number =>
  pfnLo(pfnOf(page.spt)) |
  (page.role & ROLE.adDisabled ? format.nonleafLo & ~format.accessed : format.nonleafLo);

export const pointerHi = (format: SpteFormat, page: ShadowPage): number =>
  pfnHi(pfnOf(page.spt)) |
  format.nonleafHi |
  (page.role & ROLE.adDisabled ? AD_KIND.disabled : AD_KIND.enabled);
