import { rootPages, type ShadowPage, sptePfn, type Vm } from "../../kvm";
import { hpaOf, pfn } from "../../x86";
import type { Changes } from "./changes";
import { pageTooltip, placeDescription, spokenPage, treeName } from "./page-text";
import {
  differences,
  gpteRights,
  type ReadGuest,
  readEntry,
  type ShadowEntry,
} from "./shadow-entry";
import { leafNode } from "./spte-nodes";
import { placesOf, rootId, rootPageAt } from "./upward";
import {
  counted,
  hex,
  NOTHING,
  pageOf,
  type ViewNode,
  type ViewPage,
  type ViewRequest,
} from "./view-node";

/** Ids of pages are `unsync/<vcpu>.<slot>[/<index>…]`, as in Shadow Roots; those of entries end in `/e<index>` besides. */
const ID = /^unsync\/(\d+)\.(\d+)((?:\/\d+)*)$/;

/** Ids of pages that no root leads to go on with their serial number. */
const LOOSE = "unsync/loose-";

/** From the roots down the paths that `unsync_children` marks, to the pages that are unsync. */
export class UnsyncView {
  constructor(
    private readonly vm: Vm,
    private readonly read: ReadGuest,
    private readonly changes: Changes,
  ) {}

  page(request: ViewRequest): ViewPage {
    const tree = treeName(this.vm);
    if (tree) return { ...NOTHING, badge: 0, message: emptyByNature(tree) };
    const badge = this.vm.stats.mmu_unsync;
    const nodes =
      request.parent === undefined
        ? [...this.roots(), ...this.unreachable()]
        : this.below(request.parent);
    if (!nodes) return NOTHING;
    const marked = this.changes.markKept(request.parent ?? "unsync", nodes);
    return { ...pageOf(marked, request), badge };
  }

  ancestors(id: string): readonly string[] {
    const [, page = id, entry] = /^(.*)\/(e\d+)$/.exec(id) ?? [];
    const match = ID.exec(page);
    if (!match) return id.startsWith(LOOSE) ? [id] : [];
    const parts = `${match[3] ?? ""}${entry ? `/${entry}` : ""}`.split("/").slice(1);
    const root = `unsync/${match[1]}.${match[2]}`;
    return [root, ...parts.map((_, i) => `${root}/${parts.slice(0, i + 1).join("/")}`)];
  }

  private roots(): ViewNode[] {
    return this.vm.vcpus.flatMap(({ id, mmu }) =>
      mmu.roots.flatMap((root, slot) => {
        const held = slot === 0 ? `vcpu ${id}` : `vcpu ${id} · prev_roots[${slot - 1}]`;
        const isPae = root.kind === "pae";
        const pages = isPae ? root.pages : rootPages(root);
        return pages.flatMap((page, i) =>
          page && hasUnsync(page)
            ? [
                this.pageNode(
                  rootId(id, slot, i).replace("roots", "unsync"),
                  isPae ? `pae_root[${i}] of ${held}` : `root of ${held}`,
                  page,
                ),
              ]
            : [],
        );
      }),
    );
  }

  /** Unsync pages that nothing leads to, such as those of a mode the guest has left. */
  private unreachable(): ViewNode[] {
    if (this.vm.stats.mmu_unsync === 0) return [];
    return [...this.vm.activePages()]
      .filter((page) => page.unsync && placesOf(this.vm, page, 0).length === 0)
      .map((page): ViewNode => {
        const { reveal, ...node } = this.pageNode(`${LOOSE}${page.serial}`, "no root", page);
        return { ...node, children: "none" };
      });
  }

  private below(parent: string): ViewNode[] | undefined {
    const match = ID.exec(parent);
    const root = match && rootPageAt(this.vm, Number(match[1]), Number(match[2]));
    if (!root) return undefined;
    let page: ShadowPage | undefined = root.page;
    let { base } = root;
    for (const index of (match?.[3] ?? "").split("/").slice(1).map(Number)) {
      if (!page) return undefined;
      const entry: ShadowEntry = this.entry(page, index, base);
      base = entry.gva;
      page = entry.kind === "table" ? this.child(entry) : undefined;
    }
    if (!page) return undefined;
    return page.unsync ? this.diverging(parent, page, base) : this.marked(parent, page, base);
  }

  /** Children that the bitmap says lead to unsync pages; stale bits are passed over, as KVM's walk does. */
  private marked(parent: string, page: ShadowPage, base: bigint): ViewNode[] {
    const nodes: ViewNode[] = [];
    for (let i = page.nextUnsyncBit(0); i >= 0; i = page.nextUnsyncBit(i + 1)) {
      const entry = this.entry(page, i, base);
      const child = entry.kind === "table" ? this.child(entry) : undefined;
      if (child && hasUnsync(child))
        nodes.push(this.pageNode(`${parent}/${i}`, `${hex(entry.gva)} · entry ${i}`, child));
    }
    return nodes;
  }

  /** Entries of an unsync page that no longer say what the guest's table says. */
  private diverging(parent: string, page: ShadowPage, base: bigint): ViewNode[] {
    const nodes: ViewNode[] = [];
    for (let i = 0; i < 512; i++) {
      const entry = this.entry(page, i, base);
      if (entry.kind !== "leaf" || !entry.gpte || !diverges(entry)) continue;
      const node = leafNode(`${parent}/e${i}`, entry);
      nodes.push({
        ...node,
        description: divergence(entry),
        icon: "diff-modified",
        reveal: { view: "shadowRoots", id: `${rootsId(parent)}/${i}` },
      });
    }
    return nodes;
  }

  private pageNode(id: string, label: string, page: ShadowPage): ViewNode {
    return {
      id,
      label: page.unsync ? `${label} · unsync` : label,
      description: page.unsync
        ? placeDescription(page)
        : `${counted(page.unsyncChildren, "unsync child", "unsync children")} · ${placeDescription(page)}`,
      tooltip: pageTooltip(this.vm, page),
      spoken: spokenPage(this.vm, page),
      icon: page.unsync ? "warning" : "table",
      context: page.unsync ? "unsync sp" : "sp",
      children: page.unsync ? "collapsed" : "expanded",
      value: `hpa:${hex(page.spt)} unsync_children ${page.unsyncChildren}`,
      watch: page.direct
        ? `sp(gpa:${hex(page.gfn * 4096)})`
        : `sp(gpa:${hex(page.gfn * 4096)}, ${hex(page.role)})`,
      memoryReference: `gpa:${hex(page.gfn * 4096)}`,
      reveal: { view: "shadowRoots", id: rootsId(id) },
    };
  }

  private entry(page: ShadowPage, index: number, base: bigint): ShadowEntry {
    return readEntry(this.vm, this.read, page, index, base);
  }
  private child(entry: ShadowEntry): ShadowPage | undefined {
    return this.vm.findPage(hpaOf(pfn(sptePfn(entry.lo, entry.hi))));
  }
}

const emptyByNature = (tree: string): string =>
  `Empty by nature under ${tree}: no guest table is shadowed, so none can be out of sync.`;

const hasUnsync = (page: ShadowPage): boolean => page.unsync || page.unsyncChildren > 0;

/** The same place in the Shadow Roots view. */
const rootsId = (id: string): string => id.replace("unsync", "roots");

function diverges(entry: ShadowEntry): boolean {
  const gpte = entry.gpte?.value ?? 0n;
  if (!(gpte & 1n)) return true;
  const frame = Number((gpte >> 12n) & 0xffffffffffn);
  if (frame !== entry.page.gfnAt(entry.index)) return true;
  // The access the spte was made with: a right the gpte has lost since is stale too.
  const had = entry.page.accessAt(entry.index);
  const has = gpteRights(gpte);
  return (had & 2 && !has.w) || (had & 4 && !has.u) || (had & 1 && !has.x)
    ? true
    : differences(entry).some((d) => d.includes("no longer"));
}

function divergence(entry: ShadowEntry): string {
  const mapped = hex(entry.page.gfnAt(entry.index));
  const gpte = entry.gpte?.value ?? 0n;
  const now = gpte & 1n ? `gfn ${hex((gpte >> 12n) & 0xffffffffffn)}` : "not present";
  return `spte maps gfn ${mapped}, gpte ${hex(gpte)} says ${now}`;
}
