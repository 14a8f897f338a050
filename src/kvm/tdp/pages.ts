import { type Gfn, gfn, pagesPerLevel } from "../../x86";
import { pageFields, reachPoint } from "../mmu/announce";
import { type RoleWord, roleLevel, withLevel } from "../mmu/role";
import { ShadowPage } from "../mmu/shadow-page";
import type { Sptep } from "../mmu/spte";
import type { MmuState } from "../mmu/state";

/** A page that nothing points at yet; undefined when the host has no frame left (-ENOMEM). */
export function newTdpPage(state: MmuState, frame: Gfn, role: RoleWord): ShadowPage | undefined {
  const place = state.tryAllocateFrame();
  if (!place) return undefined;
  state.lock.use("header");
  state.lock.use("shadowPage");
  const birth = { serial: state.nextSerial++, mmuValidGen: 0, gpteExt: 0, tdpMmuPage: true };
  const page = new ShadowPage({ gfn: frame, role }, place, birth);
  state.adopt(page);
  if (state.trace.wants("kvm_mmu_get_page"))
    state.trace.emit("kvm_mmu_get_page", { ...pageFields(state, page), created: true });
  return page;
}

/** A page for what entry `sptep` of `parent` covers: the parent's role, one level down. */
export function newChild(
  state: MmuState,
  parent: ShadowPage,
  sptep: Sptep,
): ShadowPage | undefined {
  const frame = gfn(parent.gfn + (sptep - parent.base) * pagesPerLevel(parent.level));
  const page = newTdpPage(state, frame, withLevel(parent.role, roleLevel(parent.role) - 1));
  if (page) page.parentPtes = sptep;
  return page;
}

/** Frees a page that is linked no more once no lockless walker can be in it. One that never was is released at once. */
export function retirePage(state: MmuState, page: ShadowPage): void {
  reachPoint(state, "Z1");
  state.grace.retire(() => {
    reachPoint(state, "Z2");
    state.release(page);
  });
}

/** The trees. Only for code that runs where there are some. */
export function treesOf(state: MmuState) {
  const { tdpMmu } = state;
  if (!tdpMmu) throw new Error("this VM has no TDP MMU");
  return tdpMmu;
}
