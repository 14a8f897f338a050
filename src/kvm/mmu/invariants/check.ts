import { FROZEN_INVARIANT, GAUGE_INVARIANT, TDP_INVARIANTS } from "../../tdp/invariants";
import type { MmuContext } from "../context";
import { ENTRIES, type ShadowPage } from "../shadow-page";
import type { MmuState } from "../state";
import { ChangedEntries } from "./changed-entries";
import { DIRTY_ENTRY_INVARIANT, DIRTY_TLB_INVARIANT } from "./dirty-log";
import { EntryView } from "./entry-view";
import { HOST_INVARIANTS, NOTIFIER_ENTRY_INVARIANT } from "./host-side";
import { allPages, type Invariant, type VmInvariant } from "./invariant";
import { LARGE_COUNT_INVARIANT, LARGE_LEAF_INVARIANTS, LARGE_PAGE_INVARIANT } from "./large-pages";
import { NESTED_ENTRY_INVARIANT, NESTED_INVARIANTS, NESTED_MODE_INVARIANT } from "./nested";
import { PAGE_ENTRY_INVARIANT, PAGE_INVARIANTS, PAGES_INVARIANTS, ROOT_INVARIANT } from "./pages";
import {
  PARENT_INVARIANT,
  REVERSE_MAP_ENTRY_INVARIANTS,
  REVERSE_MAP_INVARIANTS,
} from "./reverse-map";
import { SLOT_ENTRY_INVARIANT, SLOT_INVARIANTS, SLOT_PAGE_INVARIANT } from "./slots";
import { SPTE_INVARIANTS, SPTE_STORE_INVARIANT } from "./sptes";
import { TLB_INVARIANTS } from "./tlbs";
import {
  SYNCED_ROOT_INVARIANT,
  TRACK_COUNT_INVARIANT,
  UNSYNC_ENTRY_INVARIANTS,
  UNSYNC_INVARIANTS,
  UNSYNC_PAGE_INVARIANTS,
} from "./unsync";
import { CACHE_INVARIANT, FAULT_COUNT_INVARIANT, MODE_INVARIANT } from "./vcpus";

const ENTRY = [
  ...SPTE_INVARIANTS,
  ...REVERSE_MAP_ENTRY_INVARIANTS,
  ...UNSYNC_ENTRY_INVARIANTS,
  ...LARGE_LEAF_INVARIANTS,
  DIRTY_ENTRY_INVARIANT,
  SLOT_ENTRY_INVARIANT,
  PAGE_ENTRY_INVARIANT,
  FROZEN_INVARIANT,
  NOTIFIER_ENTRY_INVARIANT,
  NESTED_ENTRY_INVARIANT,
];
const PAGE = [PARENT_INVARIANT, SLOT_PAGE_INVARIANT, ...UNSYNC_PAGE_INVARIANTS, ...PAGE_INVARIANTS];
const VM = [
  SPTE_STORE_INVARIANT,
  DIRTY_TLB_INVARIANT,
  ...SLOT_INVARIANTS,
  ...UNSYNC_INVARIANTS,
  ...PAGES_INVARIANTS,
  ...TDP_INVARIANTS,
  ...HOST_INVARIANTS,
  ...NESTED_INVARIANTS,
  FAULT_COUNT_INVARIANT,
  CACHE_INVARIANT,
];
/** Those that go through every frame of the slots, or every entry there is. */
const FRAMES = [
  ...REVERSE_MAP_INVARIANTS,
  LARGE_PAGE_INVARIANT,
  LARGE_COUNT_INVARIANT,
  GAUGE_INVARIANT,
  TRACK_COUNT_INVARIANT,
  ...TLB_INVARIANTS,
];

/** Those of a vCPU that enters the guest. */
const AT_ENTRY = [ROOT_INVARIANT, MODE_INVARIANT, NESTED_MODE_INVARIANT];

/** Every invariant there is, for reference and for tests. */
export const INVARIANTS: readonly Invariant[] = [
  ...ENTRY,
  ...PAGE,
  ...VM,
  ...FRAMES,
  ...AT_ENTRY,
  SYNCED_ROOT_INVARIANT,
];

/**
 * Checks everything that must hold whenever mmu_lock is free. Violations as sentences that begin with
 * the invariant's id. Looks only.
 */
export function checkInvariants(state: MmuState): string[] {
  return [...checkPages(state, () => undefined), ...checkVm(state, [...VM, ...FRAMES])];
}

/** Checks from one whole check to the next. */
const WHOLE = 256;

/**
 * The same at every VM entry, at a price that a long run can pay: entries that nobody has stored to since
 * the last check are passed over, and what goes through all of guest memory waits for the next whole check,
 * one in `WHOLE`.
 */
export class Checker {
  private readonly changed: ChangedEntries;
  private checks = 0;

  constructor(private readonly state: MmuState) {
    this.changed = new ChangedEntries(state);
  }

  check(): string[] {
    const { state, changed } = this;
    const whole = this.checks++ % WHOLE === 0;
    changed.begin();
    const entriesOf: EntriesOf = (page) => {
      const some = changed.of(page);
      return whole ? undefined : some;
    };
    const found = [
      ...checkPages(state, entriesOf),
      ...checkVm(state, whole ? [...VM, ...FRAMES] : VM),
    ];
    state.writeLog = [];
    return found;
  }
}

/** The entries of a page to be looked at; undefined = all. */
type EntriesOf = (page: ShadowPage) => Iterable<number> | undefined;

function checkPages(state: MmuState, entriesOf: EntriesOf): string[] {
  const found: string[] = [];
  const view = new EntryView(state);
  const { words } = state;
  const { emptyLo, emptyHi } = state.format;
  const look = (page: ShadowPage, index: number): void => {
    const word = 2 * (page.base + index);
    if (words[word] === emptyLo && words[word + 1] === emptyHi) return;
    view.moveTo(page, index);
    for (const invariant of ENTRY) {
      const wrong = invariant.entry(view);
      if (wrong) found.push(`${invariant.id}: ${wrong}`);
    }
  };
  for (const page of allPages(state)) {
    for (const invariant of PAGE) {
      const wrong = invariant.page(state, page);
      if (wrong) found.push(`${invariant.id}: ${wrong}`);
    }
    const some = entriesOf(page);
    if (some) for (const index of some) look(page, index);
    else for (let index = 0; index < ENTRIES; index++) look(page, index);
  }
  return found;
}

const checkVm = (state: MmuState, invariants: readonly VmInvariant[]): string[] =>
  invariants.flatMap(({ id, vm }) => vm(state).map((wrong) => `${id}: ${wrong}`));

/** What must hold besides when a vCPU enters the guest. */
export function checkEntry(state: MmuState, context: MmuContext): string[] {
  return AT_ENTRY.flatMap((invariant) => {
    const wrong = invariant.context(state, context);
    return wrong ? [`${invariant.id}: ${wrong}`] : [];
  });
}

/** What must hold when a vCPU has just synced its root. */
export function checkSynced(state: MmuState, context: MmuContext): string[] {
  const wrong = SYNCED_ROOT_INVARIANT.context(state, context);
  return wrong ? [`${SYNCED_ROOT_INVARIANT.id}: ${wrong}`] : [];
}
