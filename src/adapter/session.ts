import { DebugSession, Event, InitializedEvent, Response } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { begin, restart } from "./beginning";
import { capabilities } from "./capabilities";
import { Client } from "./client";
import type { Debuggee } from "./debuggee";
import { handlers } from "./handlers";
import { launch } from "./launching";
import { Refusal, refusals } from "./refusal";
import type { Surroundings } from "./surroundings";

/** Requests that make sense while the guest runs; all others need it stopped. */
const WHILE_RUNNING = new Set([
  "threads",
  "pause",
  "setBreakpoints",
  "setFunctionBreakpoints",
  "setExceptionBreakpoints",
  "setInstructionBreakpoints",
  "breakpointLocations",
  "modules",
  "loadedSources",
  "penumbra/tree",
]);

/**
 * One debug session over any message channel: inline in the editor's worker, stdio, a socket, or a
 * test. Order on the wire: a request's response first, then the events it caused.
 */
export class Session extends DebugSession {
  private client = new Client();
  private debuggee: Debuggee | undefined;
  private launching = false;
  private isConfigured = false;
  private isOver = false;
  private saidTerminated = false;
  /** Events raised while a request is being served; they follow its response. */
  private held: DebugProtocol.Event[] | undefined;

  constructor(private readonly surroundings: Surroundings) {
    super();
  }

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    if (request.command === "launch") void this.launch(request);
    else this.reply(request, () => this.serve(request));
  }

  override sendEvent(event: DebugProtocol.Event): void {
    if (this.held) this.held.push(event);
    else if (this.isWanted(event)) super.sendEvent(event);
  }

  /** The channel closed: nothing is left to tell, so let go of the machine. */
  override shutdown(): void {
    this.end();
  }

  /** The one request that waits for files; everything else is answered at once. */
  private async launch(request: DebugProtocol.Request): Promise<void> {
    const made = await this.makeDebuggee(request.arguments);
    this.reply(request, () => {
      if (made instanceof Refusal) return made;
      if (this.isOver) {
        made.dispose();
        return refusals.over();
      }
      this.debuggee = made;
      // Breakpoints can be placed only now that the images are read, so only now are they asked for.
      this.sendEvent(new InitializedEvent());
      if (this.isConfigured) begin(made);
      return {};
    });
  }

  private async makeDebuggee(args: unknown): Promise<Debuggee | Refusal> {
    if (this.debuggee || this.launching) return refusals.alreadyLaunched();
    this.launching = true;
    try {
      const raw = (args ?? {}) as Record<string, unknown>;
      return await launch(raw, this.client, this.surroundings, (event) => this.sendEvent(event));
    } catch (problem) {
      return bug("launch", problem);
    } finally {
      this.launching = false;
    }
  }

  private serve({ command, arguments: args = {} }: DebugProtocol.Request): unknown {
    const own = named(this.lifecycle, command);
    if (own) return own(args);
    const handler = named(handlers, command);
    if (!handler) return refusals.unknownRequest(command);
    if (!this.debuggee) return refusals.notLaunched(command);
    if (this.debuggee.runner.running && !WHILE_RUNNING.has(command))
      return refusals.running(command);
    return handler(this.debuggee, args as never);
  }

  private readonly lifecycle: Readonly<Record<string, (args: object) => unknown>> = {
    initialize: (said) => {
      this.client = new Client(said);
      return capabilities;
    },
    attach: () => refusals.launch("Penumbra cannot attach yet; use a launch configuration."),
    configurationDone: () => {
      if (this.isConfigured) return {};
      this.isConfigured = true;
      if (this.debuggee) begin(this.debuggee);
      return {};
    },
    restart: () => {
      if (!this.debuggee) return refusals.notLaunched("restart");
      this.saidTerminated = false;
      return restart(this.debuggee);
    },
    disconnect: () => this.end(),
    terminate: () => {
      this.end();
      this.sendEvent(new Event("terminated"));
      return {};
    },
    cancel: () => ({}),
  };

  private end(): unknown {
    this.isOver = true;
    this.debuggee?.dispose();
    this.debuggee = undefined;
    return {};
  }

  /** Serves a request and answers it, whatever happens: what a handler throws is a bug, and is told so. */
  private reply(request: DebugProtocol.Request, serve: () => unknown): void {
    this.held = [];
    const outcome = attempt(request.command, serve);
    const events = this.held;
    this.held = undefined;
    const response: DebugProtocol.Response = Object.assign(new Response(request), {
      body: outcome instanceof Refusal ? { error: outcome.message() } : outcome,
    });
    if (outcome instanceof Refusal)
      Object.assign(response, { success: false, message: outcome.text });
    this.sendResponse(response);
    for (const event of events) this.sendEvent(event);
  }

  /** `terminated` is said once, and some events only to clients that know them. */
  private isWanted({ event }: DebugProtocol.Event): boolean {
    if (event === "terminated") {
      if (this.saidTerminated) return false;
      this.saidTerminated = true;
    }
    return this.client.hears(event);
  }
}

/** The table's own row of this name: "constructor" is no request. */
const named = <Row>(table: Readonly<Record<string, Row>>, name: string): Row | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

function attempt(command: string, serve: () => unknown): unknown {
  try {
    return serve();
  } catch (problem) {
    return bug(command, problem);
  }
}

function bug(command: string, problem: unknown): Refusal {
  return refusals.internal(command, problem instanceof Error ? problem.message : String(problem));
}
