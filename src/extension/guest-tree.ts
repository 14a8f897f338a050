import * as vscode from "vscode";
import type { ParentsResponse, TreeResponse } from "../adapter/protocol";
import { rowItem, rowTooltip } from "./row-item";
import type { Sessions } from "./sessions";
import { type Row, TreeModel } from "./tree-model";
import type { ViewDefinition } from "./views";

/** A guest that runs longer than this is said to be running; a step is over before. */
const RUNNING_MESSAGE_AFTER = 400;

export const SHOW_MORE = "penumbra.showMore";

/**
 * One of the side bar's trees. It asks the adapter only while the guest stands still and the view is
 * open, once for each stop; while the guest runs it keeps showing the last stop, and says so.
 */
export class GuestTree implements vscode.TreeDataProvider<Row>, vscode.Disposable {
  readonly view: vscode.TreeView<Row>;
  private readonly model: TreeModel;
  private readonly changed = new vscode.EventEmitter<Row | Row[] | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly disposables: vscode.Disposable[];
  private session: vscode.DebugSession | undefined;
  /** The guest stopped, or was edited, since the rows were loaded. */
  private stale = false;
  private refreshing: Promise<void> | undefined;
  private runningTimer: NodeJS.Timeout | undefined;

  constructor(
    readonly definition: ViewDefinition,
    private readonly sessions: Sessions,
  ) {
    this.model = new TreeModel(definition.name, (args) => this.ask("penumbra/tree", args));
    this.view = vscode.window.createTreeView(definition.id, {
      treeDataProvider: this,
      showCollapseAll: definition.nested,
    });
    this.disposables = [
      this.view,
      this.changed,
      this.view.onDidChangeVisibility(() => this.update()),
      this.view.onDidExpandElement(({ element }) => {
        element.closed = false;
      }),
      this.view.onDidCollapseElement(({ element }) => {
        element.closed = true;
      }),
      sessions.onDidChange(() => this.follow()),
      sessions.onDidStop(() => this.invalidate()),
      sessions.onDidInvalidate(() => this.invalidate()),
    ];
    this.follow();
  }

  getTreeItem(row: Row): vscode.TreeItem {
    return rowItem(row, SHOW_MORE, this.definition.id);
  }

  resolveTreeItem(item: vscode.TreeItem, row: Row): vscode.TreeItem {
    item.tooltip ??= rowTooltip(row);
    return item;
  }

  getParent(row: Row): Row | undefined {
    return row.parent;
  }

  async getChildren(row?: Row): Promise<Row[]> {
    if (this.sessions.state === "none") return [];
    const known = (row ? row.children : this.model.loaded) !== undefined;
    if (!known && this.sessions.state !== "stopped") return [];
    try {
      const rows = await this.model.children(row);
      if (!row) this.describe();
      return [...rows];
    } catch (problem) {
      this.explain(problem);
      return [];
    }
  }

  async showMore(more: Row): Promise<void> {
    this.changed.fire(await this.model.showMore(more));
  }

  get filter(): string | undefined {
    return this.model.filter;
  }

  /** Shows only what the filter names; resolves when the rows are there, with their number. */
  async setFilter(filter: string | undefined): Promise<number> {
    this.model.clear();
    this.model.filter = filter || undefined;
    const filtered = `${this.definition.id}Filtered`;
    await vscode.commands.executeCommand(
      "setContext",
      filtered,
      filter !== undefined && filter !== "",
    );
    this.view.description = filter ? `filter: ${filter}` : "";
    await this.getChildren();
    this.changed.fire(undefined);
    return this.model.total;
  }

  /** Opens the view at a row, without a filter that hides it; false when the guest no longer has it. */
  async reveal(id: string, focus = true): Promise<boolean> {
    const { path } = await this.ask<ParentsResponse>("penumbra/parents", {
      view: this.definition.name,
      id,
    });
    let row = await this.model.find(path);
    if (!row && this.model.filter) {
      await this.setFilter(undefined);
      row = await this.model.find(path);
    }
    if (!row) return false;
    this.changed.fire(undefined);
    await this.view.reveal(row, { select: true, focus, expand: true });
    return true;
  }

  dispose(): void {
    clearTimeout(this.runningTimer);
    for (const disposable of this.disposables) disposable.dispose();
  }

  private async ask<T = TreeResponse>(request: string, args: object): Promise<T> {
    const session = this.sessions.session;
    if (!session) throw new Error("No guest is being debugged.");
    return session.customRequest(request, args);
  }

  /** Another session, or the same one going on or ending. */
  private follow(): void {
    if (this.sessions.session !== this.session) {
      this.session = this.sessions.session;
      this.model.clear();
      this.stale = this.sessions.state === "stopped";
      this.changed.fire(undefined);
    }
    clearTimeout(this.runningTimer);
    if (this.sessions.state === "running") {
      this.runningTimer = setTimeout(() => this.describe(), RUNNING_MESSAGE_AFTER);
    } else {
      this.describe();
    }
  }

  private invalidate(): void {
    this.stale = true;
    this.update();
  }

  /** Brings the rows up to date if anybody sees them; requests that come meanwhile become one. */
  private update(): void {
    if (!this.stale || !this.view.visible || this.sessions.state !== "stopped") return;
    this.refreshing ??= this.refresh().finally(() => {
      this.refreshing = undefined;
      this.update();
    });
  }

  private async refresh(): Promise<void> {
    this.stale = false;
    try {
      const changed = await this.model.refresh();
      if (changed === "all") this.changed.fire(undefined);
      else if (changed.length > 0) this.changed.fire([...changed]);
      this.describe();
    } catch (problem) {
      this.explain(problem);
    }
  }

  private describe(): void {
    // Kept while the guest runs; without a session it is the general one again.
    const { stop, state } = this.sessions;
    const { title, titles } = this.definition;
    if (stop || state === "none") this.view.title = (stop && titles?.[stop.mmu]) ?? title;
    const running = this.sessions.state === "running" && (this.model.loaded?.length ?? 0) > 0;
    const message = running ? "Running; the rows are of the last stop." : this.model.message;
    // An empty view shows its welcome text only without a message.
    this.view.message = (this.sessions.state !== "none" && message) || "";
    const badge = this.definition.badge;
    const value = this.model.badge ?? 0;
    if (badge) this.view.badge = value > 0 ? { value, tooltip: badge(value) } : undefined;
  }

  /** The guest may go on while a question is on its way; then the answer does not matter. */
  private explain(problem: unknown): void {
    if (this.sessions.state !== "stopped") return;
    this.view.message = problem instanceof Error ? problem.message : String(problem);
  }
}
