import { ACC, pagesPerLevel } from "../../x86";
import { reachPoint } from "../mmu/announce";
import type { MmuContext } from "../mmu/context";
import { type Fault, NOSLOT_PFN } from "../mmu/fault-state";
import { retry } from "../mmu/faultin";
import { announceRequested } from "../mmu/fetch";
import { adjustLevel, roundForLevel } from "../mmu/level";
import { makeSpte, ON_FAULT } from "../mmu/make-spte";
import { announceMmioMark } from "../mmu/mmio";
import { accountNxHugePage, lowerDisallowedGoal } from "../mmu/nx-huge-pages";
import { RET, type Ret } from "../mmu/result";
import { announceSet } from "../mmu/set-spte";
import { ENTRIES, type ShadowPage } from "../mmu/shadow-page";
import { isLeaf, type Sptep } from "../mmu/spte";
import type { MmuState } from "../mmu/state";
import { childOf } from "../mmu/unsync";
import { changedSpte } from "./changed-spte";
import { compareExchange } from "./exchange";
import { isFrozen } from "./frozen";
import { linkPage } from "./link";
import { makeTdpRoom, noFrameText } from "./make-room";
import { newChild } from "./pages";
import { splitLeaf } from "./split";

/**
 * Maps the page of a fault in the vCPU's tree (kvm_tdp_mmu_map), mmu_lock held for read: other vCPUs may
 * be mapping in the same tree, so whatever is not as it was read makes the access be tried again.
 */
export function tdpMap(state: MmuState, context: MmuContext, fault: Fault): Ret {
  const { root } = context;
  if (root.kind !== "page") return retry(state, "obsolete-root");
  adjustLevel(state, fault);
  announceRequested(state, fault);
  const reader = state.grace.enter();
  const ret = descend(state, context, fault, root.page);
  state.grace.leave(reader);
  return ret ?? outOfFrames(state, context);
}

/** Undefined when a table is needed and there is no frame for it. */
function descend(
  state: MmuState,
  context: MmuContext,
  fault: Fault,
  root: ShadowPage,
): Ret | undefined {
  const { words, format } = state;
  let page = root;
  for (;;) {
    const index = Math.floor(fault.gfn / pagesPerLevel(page.level)) % ENTRIES;
    const sptep = page.base + index;
    const lo = words[2 * sptep]!;
    const hi = words[2 * sptep + 1]!;
    if (isFrozen(format, lo, hi)) return retry(state, "frozen");
    const below = format.isTable(lo, hi, page.level) ? childOf(state, lo, hi) : undefined;
    if (state.knobs.nxHugePages) lowerDisallowedGoal(fault, page.level, below);
    if (page.level === fault.goalLevel)
      return mapTarget(state, context, fault, page, sptep, lo, hi);
    if (below) {
      page = below;
      continue;
    }
    const child = newChild(state, page, sptep);
    if (!child) return undefined;
    const linked = format.isPresent(lo, hi)
      ? splitLeaf(state, sptep, lo, hi, child)
      : linkPage(state, sptep, lo, hi, child);
    if (!linked) {
      state.release(child);
      return lost(state, sptep);
    }
    if (fault.hugePageDisallowed) accountNxHugePage(state, child, fault.reqLevel >= page.level);
    page = child;
  }
}

/** Sets the leaf, or the mmio mark where there is no memory (tdp_mmu_map_handle_target_level). */
function mapTarget(
  state: MmuState,
  context: MmuContext,
  fault: Fault,
  page: ShadowPage,
  sptep: Sptep,
  oldLo: number,
  oldHi: number,
): Ret {
  const { format } = state;
  const frame = roundForLevel(fault.gfn, page.level);
  const made =
    fault.slot && fault.pfn !== NOSLOT_PFN
      ? leafOf(state, fault, page, oldLo, oldHi)
      : mmioMark(state, fault);
  const { lo, hi, writeProtected } = made;
  let ret: Ret = RET.fixed;
  reachPoint(state, "P6");
  if ((lo | 0) === (oldLo | 0) && (hi | 0) === (oldHi | 0)) ret = RET.spurious;
  else {
    if (!compareExchange(state, sptep, oldLo, oldHi, lo, hi)) return lost(state, sptep);
    changedSpte(state, { sptep, oldLo, oldHi, lo, hi, shared: true, reason: "large-replace" });
    // Small pages under what is now one large page: none of their translations may stay.
    if (format.isPresent(oldLo, oldHi) && !isLeaf(oldLo, page.level))
      state.flushRemoteTlbs("small pages replaced by a large one");
  }
  if (format.isMmio(lo, hi)) {
    context.stats.pf_mmio_spte_created++;
    announceMmioMark(state, sptep, frame, lo, hi);
    return RET.emulate;
  }
  announceSet(state, sptep, frame, page.level, lo, hi);
  return writeProtected && fault.write ? RET.writeProtected : ret;
}

const leafOf = (state: MmuState, fault: Fault, page: ShadowPage, oldLo: number, oldHi: number) =>
  makeSpte(
    state,
    fault.slot!,
    page.role,
    ACC.all,
    roundForLevel(fault.gfn, page.level),
    fault.pfn,
    oldLo,
    oldHi,
    ON_FAULT,
    fault.mapWritable,
  );

function mmioMark(state: MmuState, fault: Fault) {
  const { made, format } = state;
  const { generation } = state.slotSets[0]!;
  made.lo = format.mmioLo(fault.gfn, ACC.all, generation);
  made.hi = format.mmioHi(fault.gfn, generation);
  made.writeProtected = false;
  return made;
}

function outOfFrames(state: MmuState, context: MmuContext): Ret {
  if (!makeTdpRoom(state)) context.failure = noFrameText(context);
  return retry(state, "no-page");
}

/** Somebody else has changed the entry since it was read. */
const lost = (state: MmuState, sptep: Sptep): Ret =>
  retry(
    state,
    isFrozen(state.format, state.words[2 * sptep]!, state.words[2 * sptep + 1]!)
      ? "frozen"
      : "spte-changed",
  );
