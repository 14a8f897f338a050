import { isLeaf, type Root, type ShadowPage, sptePfn, type Vm } from "../../kvm";
import { hpaOf, pfn } from "../../x86";
import type { Changes } from "./changes";
import { pageDescription, pageTooltip, spokenPage, treeName } from "./page-text";
import { type ReadGuest, readEntry, type ShadowEntry, spteRights } from "./shadow-entry";
import { leafNode, runNode } from "./spte-nodes";
import { isCurrent, rootId, rootPageAt } from "./upward";
import { hex, NOTHING, pageOf, type ViewNode, type ViewPage, type ViewRequest } from "./view-node";

/** A place in the tree: which root slot, and the entries taken from it. */
interface Path {
  readonly root: string;
  readonly indexes: readonly number[];
}

/** Ids are `roots/<vcpu>.<slot>[/<index>…]`, a run's end in `-<last>`. */
const ROOT_ID = /^roots\/(\d+)\.(\d+)((?:\/\d+)*)(?:-(\d+))?$/;

/** Each root of each vCPU, and under it the shadow pages, runs of sptes, and sptes. */
export class ShadowRootsView {
  constructor(
    private readonly vm: Vm,
    private readonly read: ReadGuest,
    private readonly changes: Changes,
  ) {}

  page(request: ViewRequest): ViewPage {
    const { parent } = request;
    if (parent === undefined) return pageOf(this.changes.mark("roots", this.roots()), request);
    const at = this.locate(parent);
    if (!at) return NOTHING;
    const { page, base, last } = at;
    if (last !== undefined) {
      const first = at.path.indexes.at(-1) ?? 0;
      const path = { ...at.path, indexes: at.path.indexes.slice(0, -1) };
      const run = Array.from({ length: last - first + 1 }, (_, i) =>
        this.leaf(path, this.entry(page, first + i, base)),
      );
      return pageOf(this.changes.mark(parent, run), request);
    }
    return pageOf(this.changes.mark(parent, this.entries(at.path, page, base)), request);
  }

  /** Ids from the top of the view down to the node, a run that holds it among them. */
  ancestors(id: string): readonly string[] {
    const match = ROOT_ID.exec(id);
    if (!match) return [];
    const parts = (match[3] ?? "").split("/").slice(1);
    const root = `roots/${match[1]}.${match[2]}`;
    const above = parts.slice(0, -1).map((_, i) => `${root}/${parts.slice(0, i + 1).join("/")}`);
    if (parts.length === 0) return [root];
    const run = match[4] === undefined ? this.runAround(above.at(-1) ?? root, id) : undefined;
    return [root, ...above, ...(run === undefined ? [] : [run]), id];
  }

  /** The run among a page's rows that an entry of it is shown in. */
  private runAround(parent: string, id: string): string | undefined {
    const at = this.locate(parent);
    const index = Number(id.slice(id.lastIndexOf("/") + 1));
    const rows = at ? this.entries(at.path, at.page, at.base) : [];
    return rows.find((row) => {
      const [first, last] = row.id.slice(row.id.lastIndexOf("/") + 1).split("-");
      return last !== undefined && Number(first) <= index && index <= Number(last);
    })?.id;
  }

  private roots(): ViewNode[] {
    return this.vm.vcpus.flatMap(({ id, mmu }) =>
      mmu.roots.flatMap((root, slot) => this.rootNodes(id, slot, root)),
    );
  }

  /** A PAE root has a row for each of its pages, as each is a root of its own. */
  private rootNodes(vcpu: number, slot: number, root: Root): ViewNode[] {
    const held = slot === 0 ? `vcpu ${vcpu}` : `vcpu ${vcpu} · prev_roots[${slot - 1}]`;
    if (root.kind === "none") return [];
    if (root.kind === "dummy") {
      const text = `CR3 ${hex(root.pgd)} is in no memslot`;
      return [this.plain(rootId(vcpu, slot), `dummy root · ${held}`, text, "warning")];
    }
    const tree = treeName(this.vm);
    const pages = root.kind === "pae" ? root.pages : [root.page];
    return pages.flatMap((page, i) => {
      if (!page) return [];
      const which = root.kind === "pae" ? `pae_root[${i}] · ` : "";
      const node = this.pageNode(rootId(vcpu, slot, i), `${which}${held}`, page);
      const { facts, about } = standsFor(tree, page, root.pgd);
      const kept =
        slot === 0 ? `in use by vcpu ${vcpu}` : `kept by vcpu ${vcpu} for a quick return`;
      return [
        {
          ...node,
          description: `${facts} · ${node.description}`,
          tooltip: `${about}, ${kept}.\n\n${node.tooltip}`,
          spoken: `root ${kept}, ${node.spoken}`,
          icon: slot === 0 ? "type-hierarchy" : "history",
          context: "root sp",
        },
      ];
    });
  }

  /** The page whose children the id asks for, and the first address of its range. */
  private locate(id: string) {
    const match = ROOT_ID.exec(id);
    const root = match && rootPageAt(this.vm, Number(match[1]), Number(match[2]));
    if (!root) return undefined;
    const indexes = (match[3] ?? "").split("/").slice(1).map(Number);
    const path: Path = { root: `roots/${match[1]}.${match[2]}`, indexes };
    const last = match[4] === undefined ? undefined : Number(match[4]);
    let { page, base } = root;
    for (const index of last === undefined ? indexes : indexes.slice(0, -1)) {
      const entry = this.entry(page, index, base);
      const child = entry.kind === "table" ? this.child(entry) : undefined;
      if (!child) return undefined;
      base = entry.gva;
      page = child;
    }
    return { path, page, base, last };
  }

  private entries(path: Path, page: ShadowPage, base: bigint): ViewNode[] {
    const nodes: ViewNode[] = [];
    let run: ShadowEntry[] = [];
    const close = (): void => {
      if (run.length > 1)
        nodes.push(runNode(`${this.id(path, run[0]?.index ?? 0)}-${run.at(-1)?.index}`, run));
      else for (const entry of run) nodes.push(this.leaf(path, entry));
      run = [];
    };
    for (let index = 0; index < 512; index++) {
      const entry = this.entry(page, index, base);
      if (run.length > 0 && !continues(run.at(-1), entry)) close();
      if (entry.kind === "leaf" || entry.kind === "mmio") run.push(entry);
      else if (entry.kind === "table") nodes.push(this.table(path, entry));
    }
    close();
    return nodes;
  }

  private table(path: Path, entry: ShadowEntry): ViewNode {
    const id = this.id(path, entry.index);
    const child = this.child(entry);
    if (!child) return this.plain(id, hex(entry.gva), "points to no shadow page", "error");
    return this.pageNode(id, hex(entry.gva), child);
  }

  private leaf(path: Path, entry: ShadowEntry): ViewNode {
    const { watch, ...node } = leafNode(this.id(path, entry.index), entry);
    // An expression walks from the current root, and would show another entry of that address.
    return isCurrent(path.root) && watch !== undefined ? { ...node, watch } : node;
  }

  private pageNode(id: string, label: string, page: ShadowPage): ViewNode {
    return {
      id,
      label,
      description: pageDescription(page),
      tooltip: pageTooltip(this.vm, page),
      spoken: spokenPage(this.vm, page),
      icon: page.unsync ? "warning" : "table",
      context: "sp",
      children: "collapsed",
      value: `hpa:${hex(page.spt)} role ${hex(page.role)} gfn ${hex(page.gfn)}${page.unsync ? " unsync" : ""}`,
      watch: page.direct
        ? `sp(gpa:${hex(page.gfn * 4096)})`
        : `sp(gpa:${hex(page.gfn * 4096)}, ${hex(page.role)})`,
      memoryReference: `hpa:${hex(page.spt)}`,
    };
  }

  private plain(id: string, label: string, description: string, icon: string): ViewNode {
    const spoken = `${label}: ${description}`;
    return {
      id,
      label,
      description,
      tooltip: spoken,
      spoken,
      icon,
      context: "note",
      children: "none",
    };
  }

  private entry(page: ShadowPage, index: number, base: bigint): ShadowEntry {
    return readEntry(this.vm, this.read, page, index, base);
  }
  private child(entry: ShadowEntry): ShadowPage | undefined {
    return this.vm.findPage(hpaOf(pfn(sptePfn(entry.lo, entry.hi))));
  }
  private id(path: Path, index: number): string {
    return [path.root, ...path.indexes, index].join("/");
  }
}

/** What a root translates, as its row says it in short, and as a sentence begins with it. */
function standsFor(tree: string | undefined, page: ShadowPage, pgd: bigint) {
  if (tree) return { facts: `${tree}, gpa → hpa`, about: `The ${tree} root` };
  if (page.direct)
    return { facts: "guest does not page", about: "A root for a guest without paging" };
  return { facts: `cr3 ${hex(pgd)}`, about: `The root for CR3 \`${hex(pgd)}\`` };
}

/** Entries of one meaning follow each other: the same rights, next address, next host page, or both mmio. */
function continues(before: ShadowEntry | undefined, entry: ShadowEntry): boolean {
  if (before?.kind !== entry.kind) return false;
  if (entry.kind === "mmio") return true;
  if (entry.kind !== "leaf" || !isLeaf(entry.lo, entry.page.level)) return false;
  const { format } = entry;
  const a = spteRights(before);
  const b = spteRights(entry);
  const gfnNext = entry.page.gfnAt(entry.index) - before.page.gfnAt(before.index);
  const pfnNext = sptePfn(entry.lo, entry.hi) - sptePfn(before.lo, before.hi);
  return (
    format.isMmuWritable(before.lo, before.hi) === format.isMmuWritable(entry.lo, entry.hi) &&
    format.isHostWritable(before.lo, before.hi) === format.isHostWritable(entry.lo, entry.hi) &&
    a.w === b.w &&
    a.u === b.u &&
    a.x === b.x &&
    gfnNext === pfnNext &&
    gfnNext === 512 ** (entry.page.level - 1)
  );
}
