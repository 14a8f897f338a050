import { isLeaf, type ShadowPage, sptePfn, type Vm } from "../../kvm";
import { gfn, pagesPerLevel } from "../../x86";
import type { Changes } from "./changes";
import { type ReadGuest, readEntry } from "./shadow-entry";
import { leafNode, spteId } from "./spte-nodes";
import { placesOf } from "./upward";
import { counted, hex, pageOf, type ViewNode, type ViewPage, type ViewRequest } from "./view-node";

/** What the rows are limited to: an address of some space, or words they must contain. */
export type SpteFilter =
  | { readonly kind: "gfn"; readonly gfn: number; readonly text: string }
  | { readonly kind: "pfn"; readonly pfn: number; readonly text: string }
  | { readonly kind: "nothing"; readonly why: string }
  | { readonly kind: "words"; readonly text: string };

/** One list of all sptes that map a page, or of those that map an address (by the rmap, and by the trees of the TDP MMU). */
export class SptesView {
  constructor(
    private readonly vm: Vm,
    private readonly read: ReadGuest,
    private readonly changes: Changes,
  ) {}

  page(request: ViewRequest, filter: SpteFilter | undefined): ViewPage {
    if (request.parent !== undefined) return { nodes: [], total: 0 };
    if (filter?.kind === "nothing") return { nodes: [], total: 0, message: filter.why };
    if (filter === undefined) return this.slice(request);
    const found = this.changes.mark(`sptes?${filter.text}`, this.matching(filter));
    const there = found.filter(({ change }) => change !== "dropped").length;
    const message = `${counted(there, "spte")} for ${filter.text}`;
    return { ...pageOf(found, request), message };
  }

  /** The wanted part of all leaves, without making nodes of the rest. */
  private slice({ start, count }: ViewRequest): ViewPage {
    const nodes: ViewNode[] = [];
    let total = 0;
    for (const page of this.pages()) {
      for (let index = 0; index < 512; index++) {
        if (!this.mapsSomething(page, index)) continue;
        if (total >= start && nodes.length < count) nodes.push(this.node(page, index));
        total++;
      }
    }
    const whole = nodes.length === total;
    const marked = whole
      ? this.changes.mark("sptes", nodes)
      : this.changes.markPage(`sptes@${start}`, nodes);
    return { nodes: marked, total };
  }

  private matching(filter: SpteFilter): ViewNode[] {
    switch (filter.kind) {
      case "gfn": {
        return this.vm.leavesOf(gfn(filter.gfn)).map((sptep) => {
          const page = this.vm.pageOf(sptep);
          return this.node(page, sptep - page.base);
        });
      }
      case "pfn":
        return this.every((page, index) => {
          const word = 2 * (page.base + index);
          const first = sptePfn(this.vm.words[word] ?? 0, this.vm.words[word + 1] ?? 0);
          return filter.pfn >= first && filter.pfn < first + pagesPerLevel(page.level);
        });
      case "words": {
        const wanted = filter.text.toLowerCase();
        return this.every(() => true).filter((node) =>
          `${node.label} ${node.description}`.toLowerCase().includes(wanted),
        );
      }
      default:
        return [];
    }
  }

  private every(wanted: (page: ShadowPage, index: number) => boolean): ViewNode[] {
    const nodes: ViewNode[] = [];
    for (const page of this.pages())
      for (let index = 0; index < 512; index++)
        if (this.mapsSomething(page, index) && wanted(page, index))
          nodes.push(this.node(page, index));
    return nodes;
  }

  /** What current roots lead to, then cached ones, then the rest; each oldest first, to keep places. */
  private pages(): readonly ShadowPage[] {
    const ranks = new Map<ShadowPage, number>();
    for (const page of this.vm.activePages()) {
      const [place] = placesOf(this.vm, page, 0);
      ranks.set(page, place ? (place.current ? 0 : 1) : 2);
    }
    return [...ranks]
      .sort(([a, rankA], [b, rankB]) => rankA - rankB || a.serial - b.serial)
      .map(([page]) => page);
  }

  private mapsSomething(page: ShadowPage, index: number): boolean {
    const word = 2 * (page.base + index);
    const { format, words } = this.vm;
    const lo = words[word] ?? 0;
    const hi = words[word + 1] ?? 0;
    return format.isPresent(lo, hi) ? isLeaf(lo, page.level) : format.isMmio(lo, hi);
  }

  private node(page: ShadowPage, index: number): ViewNode {
    const entry = readEntry(this.vm, this.read, page, index, 0n);
    const [place, ...others] = placesOf(this.vm, page, index);
    const root = place?.current ? "" : " in a cached root";
    // Below a root of the second dimension the address is that of the gfn.
    const where = place ? `${entry.tdp ? "gpa " : ""}${hex(place.gva)}${root}` : "not reachable";
    const more = others.length > 0 ? ` (+${others.length})` : "";
    const label = `gfn ${hex(page.gfnAt(index))} · ${where}${more}`;
    const { reveal, watch, ...node } = leafNode(
      spteId(entry),
      { ...entry, gva: place?.gva ?? entry.gva },
      label,
    );
    return {
      ...node,
      description: `level ${page.level} · ${node.description}`,
      // An expression walks from the current root, and would show another entry of that address.
      ...(place?.current && watch !== undefined ? { watch } : {}),
      ...(place ? { reveal: { view: "shadowRoots", id: place.id } } : {}),
    };
  }
}
