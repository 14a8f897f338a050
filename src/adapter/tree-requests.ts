import type { Debuggee } from "./debuggee";
import type {
  ParentsArguments,
  ParentsResponse,
  TreeArguments,
  TreeResponse,
  ViewName,
} from "./protocol";
import { type Refusal, refusals } from "./refusal";

const VIEWS: readonly ViewName[] = ["shadowRoots", "sptes", "unsync", "memslots"];
const PAGE = 200;

/** One page of a view. While the guest runs there is nothing certain to show. */
export function tree(debuggee: Debuggee, args: TreeArguments): TreeResponse | Refusal {
  if (!VIEWS.includes(args.view)) return refusals.unknownView(args.view);
  if (debuggee.runner.running) return { nodes: [], total: 0, message: "Running…" };
  const request = {
    start: args.start ?? 0,
    count: Math.min(args.count ?? PAGE, PAGE),
    ...(args.parent === undefined ? {} : { parent: args.parent }),
    ...(args.filter === undefined ? {} : { filter: args.filter }),
  };
  return debuggee.views.page(args.view, request, debuggee.scope());
}

export function parents(debuggee: Debuggee, args: ParentsArguments): ParentsResponse | Refusal {
  if (!VIEWS.includes(args.view)) return refusals.unknownView(args.view);
  return { path: debuggee.views.ancestors(args.view, args.id, debuggee.scope()) };
}
