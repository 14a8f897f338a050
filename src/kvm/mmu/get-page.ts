import type { Gfn } from "../../x86";
import { accountShadowed } from "./account";
import { pageFields } from "./announce";
import type { MmuContext } from "./context";
import { ROLE, type RoleWord, roleLevel } from "./role";
import { type ShadowFrame, ShadowPage } from "./shadow-page";
import type { MmuState } from "./state";
import { syncPage } from "./sync";
import { unlinkUnsync } from "./unsync";
import { commitZap, flushOrZap, type InvalidList, prepareZap } from "./zap";

/** Where a new page gets its frame and its header from, when they were put by before. */
export interface PageCache {
  headers: number;
  frame: ShadowFrame | undefined;
}

/**
 * The shadow page for `(gfn, role)`: the one there is, or a new one (mmu.rst, "Shadow pages"). An
 * unsync page that is found is brought up to date, as the guest need not flush for what it is about
 * to link, but stays unsync. Without a context only direct pages can be had.
 */
export function getShadowPage(
  state: MmuState,
  context: MmuContext | undefined,
  frame: Gfn,
  role: RoleWord,
  cache?: PageCache,
): ShadowPage {
  const found = findPage(state, context, frame, role);
  const page = found ?? allocatePage(state, context, frame, role, takeFrame(state, cache));
  if (state.trace.wants("kvm_mmu_get_page"))
    state.trace.emit("kvm_mmu_get_page", {
      ...pageFields(state, page),
      created: found === undefined,
    });
  return page;
}

function takeFrame(state: MmuState, cache: PageCache | undefined): ShadowFrame {
  const frame = cache?.frame;
  if (!cache || !frame) return state.allocateFrame();
  cache.frame = undefined;
  cache.headers--;
  return frame;
}

function findPage(
  state: MmuState,
  context: MmuContext | undefined,
  frame: Gfn,
  role: RoleWord,
): ShadowPage | undefined {
  const list: InvalidList = [];
  let collisions = 0;
  let found: ShadowPage | undefined;
  // A copy, because pages may be zapped on the way.
  for (const page of [...state.hash.bucket(frame)]) {
    if (state.isObsolete(page)) continue;
    if (page.gfn !== frame) {
      collisions++;
      continue;
    }
    if (page.role !== role) {
      // The frame becomes an upper-level table: it may not be writable through a page gone unsync.
      const zaps = state.profile.unsyncTwin === "zap";
      if (zaps && roleLevel(role) > 1 && page.unsync) prepareZap(state, page, list);
      continue;
    }
    if (role & ROLE.direct) {
      found = page;
      break;
    }
    if (!context) throw new Error("a page with gptes was asked for without a vCPU");
    if (page.gpteExt !== context.mode.gpteExt) {
      // Its translations were made by other rules.
      prepareZap(state, page, list);
      break;
    }
    if (page.unsync) {
      const outcome = syncPage(state, context, page, list);
      if (outcome === "gone") break;
      if (outcome === "flush") state.flushRemoteTlbs("unsync page reused");
    }
    page.writeFloodingCount = 0;
    found = page;
    break;
  }
  if (!found) state.stats.mmu_cache_miss++;
  commitZap(state, list);
  if (collisions > state.stats.max_mmu_page_hash_collisions)
    state.stats.max_mmu_page_hash_collisions = collisions;
  return found;
}

function allocatePage(
  state: MmuState,
  context: MmuContext | undefined,
  frame: Gfn,
  role: RoleWord,
  place: ShadowFrame,
): ShadowPage {
  const page = new ShadowPage({ gfn: frame, role }, place, {
    serial: state.nextSerial++,
    mmuValidGen: state.mmuValidGen,
    // Direct pages have no gptes to read.
    gpteExt: context?.mode.gpteExt ?? 0,
  });
  state.lock.use("header");
  state.lock.use("shadowPage");
  if (page.shadowedTranslation) state.lock.use("shadowedInfo");
  state.adopt(page);
  state.active.add(page);
  state.usedPages++;
  state.hash.insert(page);
  if (!page.hasGptes) return page;
  accountShadowed(state, page);
  if (context && page.level > 1 && state.profile.unsyncTwin === "sync")
    syncTwins(state, context, frame);
  return page;
}

/** The frame has become an upper-level table: its level-1 pages may no longer be unsync (kvm_sync_pages). */
function syncTwins(state: MmuState, context: MmuContext, frame: Gfn): void {
  const list: InvalidList = [];
  let flush = false;
  for (const page of [...state.hash.bucket(frame)]) {
    if (page.gfn !== frame || !page.unsync || state.isObsolete(page)) continue;
    unlinkUnsync(state, page);
    if (syncPage(state, context, page, list) === "flush") flush = true;
  }
  flushOrZap(state, list, flush, "unsync pages of a new table synced");
}
