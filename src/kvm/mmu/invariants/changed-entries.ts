import type { ShadowPage } from "../shadow-page";
import type { MmuState } from "../state";

/** What decides by which rules all entries of a page are looked at. */
interface Seen {
  role: number;
  unsync: boolean;
  obsolete: boolean;
}

const NONE: Iterable<number> = [];

/**
 * Which entries may have become wrong since the last check: those that were stored, and all of a page that
 * is new, was synced or went unsync, or became obsolete. That a synced table changes behind KVM's back, or
 * an entry without a store, is for the whole check to see.
 */
export class ChangedEntries {
  private readonly seen = new WeakMap<ShadowPage, Seen>();
  private readonly stored = new Map<ShadowPage, Set<number>>();

  constructor(private readonly state: MmuState) {
    state.writeLog ??= [];
  }

  /** Takes note of the stores since the last time; `state.writeLog` may be emptied after this. */
  begin(): void {
    const { state, stored } = this;
    stored.clear();
    for (const { sptep } of state.writeLog ?? []) {
      // The page may be gone by now, and another in its place.
      const page = state.pageAt(sptep);
      if (!page) continue;
      const entries = stored.get(page);
      const index = sptep - page.base;
      if (entries) entries.add(index);
      else stored.set(page, new Set([index]));
    }
  }

  /** Indices of the entries to be looked at; undefined for all. Remembers how the page is now. */
  of(page: ShadowPage): Iterable<number> | undefined {
    const { role, unsync } = page;
    const obsolete = this.state.isObsolete(page);
    const before = this.seen.get(page);
    if (before?.role === role && before.unsync === unsync && before.obsolete === obsolete)
      return this.stored.get(page) ?? NONE;
    this.seen.set(page, { role, unsync, obsolete });
    return undefined;
  }
}
