import * as vscode from "vscode";
import type { StoppedBody } from "../adapter/protocol";

export const DEBUG_TYPE = "penumbra";

/** What the views may ask: only a stopped guest answers. */
export type GuestState = "none" | "running" | "stopped";

interface Entry {
  readonly session: vscode.DebugSession;
  /** Set by `penumbra/stopped`; `undefined` while the guest runs. */
  stop: StoppedBody | undefined;
}

/** The requests that set the guest going once they succeed. */
const RESUMING = new Set(["continue", "next", "stepIn", "stepOut", "restart"]);

/**
 * Follows the Penumbra sessions by what their adapters send, and names the one that is looked at:
 * the active debug session, if it is one of ours.
 */
export class Sessions implements vscode.Disposable {
  private readonly entries = new Map<string, Entry>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly stopped = new vscode.EventEmitter<vscode.DebugSession>();
  private readonly invalidated = new vscode.EventEmitter<void>();
  private readonly disposables: vscode.Disposable[];

  /** Another session is looked at, or its guest stopped or went on. */
  readonly onDidChange = this.changed.event;
  /** Once for each stop of the guest that is looked at. */
  readonly onDidStop = this.stopped.event;
  /** The guest stands still, but memory or registers were edited. */
  readonly onDidInvalidate = this.invalidated.event;

  constructor() {
    this.disposables = [
      this.changed,
      this.stopped,
      this.invalidated,
      vscode.debug.onDidChangeActiveDebugSession(() => this.changed.fire()),
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: (session) => this.track(session),
      }),
    ];
  }

  get session(): vscode.DebugSession | undefined {
    return this.current?.session;
  }

  get state(): GuestState {
    if (!this.current) return "none";
    return this.current.stop ? "stopped" : "running";
  }

  get stop(): StoppedBody | undefined {
    return this.current?.stop;
  }

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose();
  }

  private get current(): Entry | undefined {
    const active = vscode.debug.activeDebugSession;
    return active ? this.entries.get(active.id) : undefined;
  }

  private track(session: vscode.DebugSession): vscode.DebugAdapterTracker {
    const entry: Entry = { session, stop: undefined };
    this.entries.set(session.id, entry);
    const end = (): void => {
      if (this.entries.delete(session.id)) this.changed.fire();
    };
    return {
      onDidSendMessage: (message) => this.hear(entry, message),
      onWillStopSession: end,
      onExit: end,
    };
  }

  private hear(entry: Entry, message: AdapterMessage): void {
    if (message.type === "response") {
      if (message.success && RESUMING.has(message.command ?? "")) this.resume(entry);
      return;
    }
    if (message.type !== "event") return;
    switch (message.event) {
      case "continued":
        this.resume(entry);
        break;
      case "penumbra/stopped":
        entry.stop = message.body as StoppedBody;
        this.changed.fire();
        if (entry === this.current) this.stopped.fire(entry.session);
        break;
      case "invalidated":
      case "memory":
        if (entry === this.current) this.invalidated.fire();
        break;
    }
  }

  private resume(entry: Entry): void {
    if (!entry.stop) return;
    entry.stop = undefined;
    this.changed.fire();
  }
}

/** The part of a debug adapter message that is looked at here. */
interface AdapterMessage {
  readonly type: string;
  readonly event?: string;
  readonly command?: string;
  readonly success?: boolean;
  readonly body?: unknown;
}
