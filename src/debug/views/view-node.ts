/** What a tree view shows of one thing. The adapter's protocol has the same shape. */
export interface ViewNode {
  /** Stable over stops: names the place (root, path of indexes), not what is there now. */
  readonly id: string;
  readonly label: string;
  readonly description: string;
  /** Markdown. */
  readonly tooltip: string;
  readonly spoken: string;
  readonly icon: string;
  /** Space-separated kinds, for context menus. */
  readonly context: string;
  readonly children: "none" | "collapsed" | "expanded";
  readonly change?: "new" | "changed" | "dropped";
  readonly value?: string;
  readonly watch?: string;
  readonly memoryReference?: string;
  readonly breakpoint?: string;
  readonly reveal?: { readonly view: ViewId; readonly id: string };
}

export type ViewId = "shadowRoots" | "sptes" | "unsync" | "memslots";

/** One page of the children of a node. */
export interface ViewPage {
  readonly nodes: readonly ViewNode[];
  readonly total: number;
  readonly message?: string;
  readonly badge?: number;
}

export interface ViewRequest {
  readonly parent?: string;
  readonly start: number;
  readonly count: number;
  readonly filter?: string;
}

export const NOTHING: ViewPage = { nodes: [], total: 0 };

/** The wanted part of a whole list. */
export const pageOf = (nodes: readonly ViewNode[], { start, count }: ViewRequest): ViewPage => ({
  nodes: nodes.slice(start, start + count),
  total: nodes.length,
});

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** `1 page`, `3 pages`, `2 entries`. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;
