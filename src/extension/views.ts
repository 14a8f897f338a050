import type { StoppedBody, ViewName } from "../adapter/protocol";

/** A tree of the Run and Debug side bar; package.json contributes it under `id`. */
export interface ViewDefinition {
  readonly name: ViewName;
  readonly id: string;
  readonly title: string;
  /** Its title where the name would be wrong: under EPT and NPT nothing is shadowed. */
  readonly titles?: Partial<Record<StoppedBody["mmu"], string>>;
  /** Rows have rows below them. */
  readonly nested: boolean;
  /** Words for the number on the view. */
  readonly badge?: (count: number) => string;
}

export const VIEWS: readonly ViewDefinition[] = [
  {
    name: "shadowRoots",
    id: "penumbra.shadowRoots",
    title: "Shadow Roots",
    titles: { ept: "EPT Roots", npt: "NPT Roots" },
    nested: true,
  },
  { name: "sptes", id: "penumbra.sptes", title: "Sptes", nested: false },
  {
    name: "unsync",
    id: "penumbra.unsync",
    title: "Unsync Pages",
    nested: true,
    badge: (count) => `${count} unsync ${count === 1 ? "page" : "pages"}`,
  },
  { name: "memslots", id: "penumbra.memslots", title: "Memslots", nested: true },
];
