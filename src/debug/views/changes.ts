import type { ViewNode } from "./view-node";

/** What was listed under one parent at a stop, by id. */
type Listing = ReadonlyMap<string, ViewNode>;

/**
 * Marks what is new, changed or gone since the last stop or edit, by comparing each list with the one shown
 * at that stop. A list nobody looked at then has no marks: nothing is watched while the guest runs.
 */
export class Changes {
  private before = new Map<string, Listing>();
  private now = new Map<string, Listing>();

  /** The guest has moved and stands again, or a person or the host has changed something. */
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
      const was = old.get(node.id) ?? [...old.values()].find((each) => overlap(each.id, node.id));
      if (!was) return noted(node, "new", "New since the last stop or edit.");
      if (was.value === node.value) return node;
      return noted(
        node,
        "changed",
        `Changed since the last stop or edit: was ${was.value ?? was.label}.`,
      );
    });
  }

  /** One page of a longer list. What was on other pages is not known, so only changes are marked. */
  markPage(parent: string, nodes: readonly ViewNode[]): readonly ViewNode[] {
    const marked = this.markKept(parent, nodes);
    return marked.map((node, i) => (node.change === "new" ? (nodes[i] ?? node) : node));
  }

  private gone(parent: string, nodes: readonly ViewNode[]): readonly ViewNode[] {
    return [...(this.before.get(parent)?.values() ?? [])]
      .filter((was) => !nodes.some(({ id }) => id === was.id || overlap(id, was.id)))
      .map(dropped);
  }
}

/** Ids of entries end in `/5`, of runs in `/5-9`: an entry that joins a run is not gone. */
const RANGE = /^(.*\/)(\d+)(?:-(\d+))?$/;

function overlap(a: string, b: string): boolean {
  if (!a.includes("-") && !b.includes("-")) return false;
  const [, parentA, firstA, lastA = firstA] = RANGE.exec(a) ?? [];
  const [, parentB, firstB, lastB = firstB] = RANGE.exec(b) ?? [];
  return (
    parentA !== undefined &&
    parentA === parentB &&
    Number(firstA) <= Number(lastB) &&
    Number(firstB) <= Number(lastA)
  );
}

function noted(node: ViewNode, change: "new" | "changed", note: string): ViewNode {
  return { ...node, change, tooltip: `${node.tooltip}\n\n*${note}*` };
}

function dropped(node: ViewNode): ViewNode {
  return {
    id: `${node.id}~gone`,
    label: node.label,
    description: `gone; was ${node.value ?? node.description}`,
    tooltip: `${node.tooltip}\n\n*Dropped since the last stop or edit.*`,
    spoken: `dropped: ${node.spoken}`,
    icon: node.icon,
    context: "gone",
    children: "none",
    change: "dropped",
    ...(node.value === undefined ? {} : { value: node.value }),
  };
}
