import type { TreeArguments, TreeNode, TreeResponse, ViewName } from "../adapter/protocol";

/** Children asked for at a time, and shown before a "more…" row. */
export const PAGE = 200;

/** A row of a tree. One object for as long as its id is shown: the editor knows rows by identity. */
export interface Row {
  node: TreeNode;
  /** `undefined` for a row at the top. */
  readonly parent: Row | undefined;
  /** `undefined` until asked for. */
  children: readonly Row[] | undefined;
  /** Children there are in all. */
  total: number;
  /** How many of them the person wants to see: pages, added by "more…". */
  wanted: number;
  /** Set when the person closed the row: its children are then not kept up to date. */
  closed: boolean;
}

/** Rows whose look or children changed, none inside another; "all" when the top level did. */
export type Changed = "all" | readonly Row[];

export type Fetch = (args: TreeArguments) => Promise<TreeResponse>;

/**
 * The loaded part of one view's tree, page by page. `refresh` asks again for just the rows that are
 * shown and says which differ, so that the editor redraws those and nothing else.
 */
export class TreeModel {
  filter: string | undefined;
  /** Of the last answer for the top level. */
  message: string | undefined;
  badge: number | undefined;
  private readonly rows = new Map<string, Row>();
  private top = newRow(TOP, undefined);

  constructor(
    private readonly view: ViewName,
    private readonly fetch: Fetch,
  ) {}

  /** Rows below `parent`, loaded if need be; a last row with context "more" stands for the rest. */
  async children(parent: Row | undefined): Promise<readonly Row[]> {
    const row = parent ?? this.top;
    if (!row.children) await this.load(row);
    return withMore(row);
  }

  /** The rows at the top, if they were ever asked for. */
  get loaded(): readonly Row[] | undefined {
    return this.top.children;
  }

  /** How many rows there are at the top, shown or not. */
  get total(): number {
    return this.top.total;
  }

  /** Loads one page more below the parent of a "more…" row, which is returned. */
  async showMore(more: Row): Promise<Row | undefined> {
    const row = more.parent ?? this.top;
    row.wanted += PAGE;
    await this.load(row);
    return more.parent;
  }

  /** Asks again for all that is shown. */
  async refresh(): Promise<Changed> {
    const changed = new Set<Row>();
    await this.reload(this.top, changed);
    if (changed.has(this.top)) return "all";
    return [...changed].filter((row) => !hasAncestorIn(row, changed));
  }

  /** Forgets every row, for another guest or another filter. */
  clear(): void {
    this.rows.clear();
    this.top = newRow(TOP, undefined);
    this.message = undefined;
    this.badge = undefined;
  }

  /**
   * The row at the end of a path of ids from the top, its parents loaded; `undefined` when it is not
   * there, or when it lies more than `pages` pages below the first of its siblings.
   */
  async find(path: readonly string[], pages = 20): Promise<Row | undefined> {
    let row = this.top;
    for (const id of path) {
      if (!row.children) await this.load(row);
      let next = row.children?.find((child) => child.node.id === id);
      while (!next && row.wanted < Math.min(row.total, pages * PAGE)) {
        row.wanted += PAGE;
        await this.load(row);
        next = row.children?.find((child) => child.node.id === id);
      }
      if (!next) return undefined;
      row = next;
    }
    return row === this.top ? undefined : row;
  }

  private async reload(row: Row, changed: Set<Row>): Promise<void> {
    const before = row.children;
    const looks = new Map(before?.map((child) => [child, child.node]));
    const total = row.total;
    await this.load(row);
    const after = row.children ?? [];
    const sameRows =
      total === row.total &&
      before?.length === after.length &&
      before.every((child, i) => child === after[i]);
    if (!sameRows) changed.add(row);
    for (const child of after) {
      const look = looks.get(child);
      if (look && !sameNode(look, child.node)) changed.add(child);
    }
    await Promise.all(
      after
        .filter((child) => child.children)
        .map((child) => {
          if (!child.closed && child.node.children !== "none") return this.reload(child, changed);
          child.children = undefined;
          return undefined;
        }),
    );
  }

  private async load(row: Row): Promise<void> {
    const { top } = this;
    const nodes: TreeNode[] = [];
    let answer: TreeResponse;
    let start = 0;
    do {
      answer = await this.fetch({
        view: this.view,
        ...(row === top ? {} : { parent: row.node.id }),
        ...(this.filter ? { filter: this.filter } : {}),
        start,
        count: PAGE,
      });
      // A page may be longer than was asked for: rows that were dropped do not count.
      nodes.push(...answer.nodes);
      start += PAGE;
    } while (answer.nodes.length > 0 && start < Math.min(row.wanted, answer.total));
    // Everything was forgotten meanwhile: the answer belongs to another guest or filter.
    if (top !== this.top) return;
    row.total = answer.total;
    row.children = nodes.map((node) => this.adopt(node, row === top ? undefined : row));
    if (row === top) {
      this.message = answer.message;
      this.badge = answer.badge;
    }
  }

  private adopt(node: TreeNode, parent: Row | undefined): Row {
    const known = this.rows.get(node.id);
    if (known && known.parent === parent) {
      known.node = node;
      return known;
    }
    const row = newRow(node, parent);
    this.rows.set(node.id, row);
    return row;
  }
}

const TOP: TreeNode = {
  id: "",
  label: "",
  description: "",
  tooltip: "",
  spoken: "",
  icon: "",
  context: "",
  children: "expanded",
};

function newRow(node: TreeNode, parent: Row | undefined): Row {
  return { node, parent, children: undefined, total: 0, wanted: PAGE, closed: false };
}

function withMore(row: Row): readonly Row[] {
  const shown = row.children ?? [];
  const left = row.total - row.wanted;
  if (left <= 0 || shown.length === 0) return shown;
  const node: TreeNode = {
    ...TOP,
    id: `${row.node.id}/more`,
    label: "more…",
    description: `${left} of ${row.total} not shown`,
    spoken: `Show more, ${left} of ${row.total} not shown`,
    icon: "ellipsis",
    context: "more",
    children: "none",
  };
  return [...shown, newRow(node, row.node === TOP ? undefined : row)];
}

function sameNode(a: TreeNode, b: TreeNode): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function hasAncestorIn(row: Row, set: ReadonlySet<Row>): boolean {
  for (let at = row.parent; at; at = at.parent) if (set.has(at)) return true;
  return false;
}
