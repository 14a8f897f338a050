/** What a tree view shows of one thing. Crosses to the editor as it is. */
export interface ViewNode {
  /** Stable over stops: view/root/page/index. */
  readonly id: string;
  readonly label: string;
  readonly description: string;
  /** Markdown: every bit named. */
  readonly tooltip: string;
  /** For a screen reader: the flags in words. */
  readonly spoken: string;
  /** Codicon id. */
  readonly icon: string;
  /** Space-separated kinds that drive the context menu: root sp run spte gpte unsync slot more. */
  readonly context: string;
  readonly children: "none" | "collapsed" | "expanded";
  /** Since the last stop. */
  readonly change?: "new" | "changed" | "dropped";
  /** "Copy Value" gives this; the label otherwise. */
  readonly value?: string;
  /** Expression for "Add to Watch". */
  readonly watch?: string;
  /** Reference for "Open Memory": the bytes of the entry or page itself. */
  readonly memoryReference?: string;
  /** The guest page it maps, as an expression: what "Host Action" is done to. */
  readonly hostPage?: string;
  /** Function breakpoint for "Break on Write". */
  readonly breakpoint?: string;
  /** Id of the node in another view that shows the same thing from the other side. */
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
