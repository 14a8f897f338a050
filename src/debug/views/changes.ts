import type { ViewNode } from "./view-node";

/** What was listed under one parent at a stop, by id. */
type Listing = ReadonlyMap<string, ViewNode>;

/**
 * Marks what is new, changed or gone since the last stop, by comparing each list with the one shown
 * at that stop. A list nobody looked at then has no marks: nothing is watched while the guest runs.
 */
export class Changes {
  private before = new Map<string, Listing>();
  private now = new Map<string, Listing>();

  /** The guest has moved and stands again. */
  nextStop(): void {
    this.before = this.now;
    this.now = new Map();
  }

  /** The list with its marks; what is gone follows at the end, until the next stop. */
  mark(parent: string, nodes: readonly ViewNode[]): readonly ViewNode[] {
    return [...this.markKept(parent, nodes), ...this.gone(parent, nodes)];
  }

  /** The same without what is gone, for a list that is empty when all is well. */
  markKept(parent: string, nodes: readonly ViewNode[]): readonly ViewNode[] {
    this.now.set(parent, new Map(nodes.map((node) => [node.id, node])));
    const old = this.before.get(parent);
    if (!old) return nodes;
    return nodes.map((node): ViewNode => {
      const was = old.get(node.id);
      if (!was)
        return { ...node, change: "new", tooltip: `${node.tooltip}\n\n*New since the last stop.*` };
      if (was.value === node.value) return node;
      const note = `*Changed since the last stop: was ${was.value}.*`;
      return { ...node, change: "changed", tooltip: `${node.tooltip}\n\n${note}` };
    });
  }

  private gone(parent: string, nodes: readonly ViewNode[]): readonly ViewNode[] {
    const old = this.before.get(parent);
    const ids = new Set(nodes.map((node) => node.id));
    return [...(old?.values() ?? [])].filter((node) => !ids.has(node.id)).map(dropped);
  }
}

function dropped(node: ViewNode): ViewNode {
  return {
    id: `${node.id}~gone`,
    label: node.label,
    description: `gone; was ${node.value ?? node.description}`,
    tooltip: `${node.tooltip}\n\n*Dropped since the last stop.*`,
    spoken: `dropped: ${node.spoken}`,
    icon: node.icon,
    context: "gone",
    children: "none",
    change: "dropped",
    ...(node.value === undefined ? {} : { value: node.value }),
  };
}
