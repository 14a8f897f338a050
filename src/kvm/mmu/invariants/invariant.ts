import type { MmuContext } from "../context";
import type { ShadowPage } from "../shadow-page";
import type { MmuState } from "../state";
import type { EntryView } from "./entry-view";

interface Named {
  /** `INV-…` of the reference. */
  readonly id: string;
  /** What must hold. */
  readonly rule: string;
}

/** Checked for every entry of every shadow page that is not empty. Says what is wrong, if anything. */
export interface EntryInvariant extends Named {
  entry(view: EntryView): string | undefined;
}
/** Checked for every shadow page. */
export interface PageInvariant extends Named {
  page(state: MmuState, page: ShadowPage): string | undefined;
}
/** Checked once. */
export interface VmInvariant extends Named {
  vm(state: MmuState): readonly string[];
}
/** Checked for a vCPU that enters the guest, all requests served. */
export interface EntryTimeInvariant extends Named {
  context(state: MmuState, context: MmuContext): string | undefined;
}

export type Invariant = EntryInvariant | PageInvariant | VmInvariant | EntryTimeInvariant;

/** Every shadow page that exists: in use, or zapped and still held by a root slot. */
export const shadowPages = (state: MmuState): readonly ShadowPage[] => [
  ...state.active,
  ...state.pinned,
];
/** These and the pages of the TDP MMU. */
export const allPages = (state: MmuState): readonly ShadowPage[] => [
  ...shadowPages(state),
  ...(state.tdpMmu?.pages ?? []),
];

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
