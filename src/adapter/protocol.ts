/**
 * What crosses between the views and the adapter besides plain DAP. Versioned: a change that an
 * older client would misread raises `PROTOCOL_VERSION`.
 */
export const PROTOCOL_VERSION = 1;

export type ViewName = "shadowRoots" | "sptes" | "unsync" | "memslots";

/** Custom request `penumbra/tree`: one page of the children of a node (of the view, without `parent`). */
export interface TreeArguments {
  readonly view: ViewName;
  readonly parent?: string;
  readonly start?: number;
  /** At most 200. */
  readonly count?: number;
  /** The Sptes view: an expression (address) or text that the rows must contain. */
  readonly filter?: string;
}

export interface TreeNode {
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
  /** Function breakpoint for "Break on Write". */
  readonly breakpoint?: string;
  /** Id of the node in another view that shows the same thing from the other side. */
  readonly reveal?: { readonly view: ViewName; readonly id: string };
}

export interface TreeResponse {
  readonly nodes: readonly TreeNode[];
  /** Children there are in all. */
  readonly total: number;
  /** Why the view is empty, or what is left out. */
  readonly message?: string;
  /** Number for the view's badge. */
  readonly badge?: number;
}

/** Custom request `penumbra/parents`: ids from the view's top down to the node, for reveal(). */
export interface ParentsArguments {
  readonly view: ViewName;
  readonly id: string;
}
export interface ParentsResponse {
  readonly path: readonly string[];
}

/** Custom event `penumbra/stopped`, after each `stopped`: what the status bar and the views need. */
export interface StoppedBody {
  readonly tick: number;
  readonly vcpu: number;
  readonly mmu: "none" | "shadow";
  readonly unsync: number;
}
