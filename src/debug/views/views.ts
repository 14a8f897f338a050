import type { Scope } from "../expression/scope";
import { Changes } from "./changes";
import { MemslotsView } from "./memslots";
import type { ReadGuest } from "./shadow-entry";
import { ShadowRootsView } from "./shadow-roots";
import { readSpteFilter } from "./spte-filter";
import { SptesView } from "./sptes";
import { UnsyncView } from "./unsync-pages";
import type { ViewId, ViewPage, ViewRequest } from "./view-node";

const NO_HYPERVISOR =
  'There is no hypervisor: the guest runs with "mmu": "none". Its own tables are under Paging in Variables; start with "mmu": "shadow" to fill this view.';

/** The content of the four tree views, from one machine. Looking changes nothing. */
export class Views {
  private readonly changes = new Changes();

  /** The machine has stopped at another place or was edited: marks are made against what was shown before. */
  nextStop(): void {
    this.changes.nextStop();
  }

  page(view: ViewId, request: ViewRequest, scope: Scope): ViewPage {
    const parts = this.parts(scope);
    if (!parts) return { nodes: [], total: 0, message: NO_HYPERVISOR };
    switch (view) {
      case "shadowRoots":
        return parts.roots.page(request);
      case "sptes":
        return parts.sptes.page(request, readSpteFilter(request.filter ?? "", scope));
      case "unsync":
        return parts.unsync.page(request);
      case "memslots":
        return parts.memslots.page(request);
    }
  }

  /** Ids from the top of a view down to a node, the node included. */
  ancestors(view: ViewId, id: string, scope: Scope): readonly string[] {
    const parts = this.parts(scope);
    if (!parts) return [];
    if (view === "shadowRoots") return parts.roots.ancestors(id);
    if (view === "unsync") return parts.unsync.ancestors(id);
    return view === "memslots" ? parts.memslots.ancestors(id) : [id];
  }

  private parts({ machine }: Scope) {
    const { vm } = machine;
    if (!vm) return undefined;
    const entry = { lo: 0, hi: 0 };
    const read: ReadGuest = (at, bytes) =>
      vm.memory.peekEntry(at, bytes, entry)
        ? (BigInt(entry.hi >>> 0) << 32n) | BigInt(entry.lo >>> 0)
        : undefined;
    return {
      roots: new ShadowRootsView(vm, read, this.changes),
      sptes: new SptesView(vm, read, this.changes),
      unsync: new UnsyncView(vm, read, this.changes),
      memslots: new MemslotsView(vm, this.changes),
    };
  }
}
