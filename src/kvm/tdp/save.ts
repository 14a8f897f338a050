import type { ShadowPage } from "../mmu/shadow-page";
import type { TdpMmu } from "./tdp-mmu";

/** The lists of the TDP MMU, their pages as serials. The pages themselves are saved with all others. */
export interface TdpMmuState {
  readonly roots: readonly number[];
  readonly scheduledToZap: readonly number[];
}

const serials = (pages: Iterable<ShadowPage>): number[] => [...pages].map((page) => page.serial);

/** Between operations only: nothing is frozen then, and no table waits to be freed. */
export const saveTdp = (trees: TdpMmu): TdpMmuState => ({
  roots: serials(trees.roots),
  scheduledToZap: serials(trees.scheduledToZap),
});

/** `trees` has forgotten what it had. */
export function restoreTdp(
  trees: TdpMmu,
  saved: TdpMmuState,
  pages: readonly ShadowPage[],
  bySerial: ReadonlyMap<number, ShadowPage>,
): void {
  const named = (list: readonly number[]) => list.map((serial) => bySerial.get(serial)!);
  for (const page of pages) trees.pages.add(page);
  trees.roots.push(...named(saved.roots));
  for (const page of named(saved.scheduledToZap)) trees.scheduledToZap.add(page);
}
