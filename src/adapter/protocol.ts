import type { OfferedAction, ViewId, ViewNode } from "../debug";
import type { Era } from "../kvm";
import type { MmuMode } from "../machine";

/* What crosses between the views and the adapter besides plain DAP. */

/** A view, and one row of it: the same shapes as their content is made in. */
export type { ViewId as ViewName, ViewNode as TreeNode } from "../debug";

/** Custom request `penumbra/tree`: one page of the children of a node (of the view, without `parent`). */
export interface TreeArguments {
  readonly view: ViewId;
  readonly parent?: string;
  readonly start?: number;
  /** At most 200. */
  readonly count?: number;
  /** The Sptes view: an expression (address) or text that the rows must contain. */
  readonly filter?: string;
}

export interface TreeResponse {
  readonly nodes: readonly ViewNode[];
  /** Children there are in all. */
  readonly total: number;
  /** Why the view is empty, or what is left out. */
  readonly message?: string;
  /** Number for the view's badge. */
  readonly badge?: number;
}

/** Custom request `penumbra/parents`: ids from the view's top down to the node, for reveal(). */
export interface ParentsArguments {
  readonly view: ViewId;
  readonly id: string;
}
export interface ParentsResponse {
  readonly path: readonly string[];
}

/** Custom request `penumbra/hostActions`: what the host can be told to do to a page. */
export interface HostActionsResponse {
  readonly actions: readonly OfferedAction[];
}

/** Custom request `penumbra/hostAction`: the host does something to the page behind an address. */
export interface HostActionArguments {
  readonly action: string;
  /** An expression: `gpa:0x3000`, `gva:0x400000`. */
  readonly address: string;
}
export interface HostActionResponse {
  /** What came of it. */
  readonly text: string;
}

/** Custom event `penumbra/stopped`, after each `stopped`: what the status bar and the views need. */
export interface StoppedBody {
  readonly tick: number;
  readonly vcpu: number;
  readonly mmu: MmuMode;
  readonly era: Era;
  readonly unsync: number;
}
